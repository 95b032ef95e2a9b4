"""A topic: `make NAME PARTITIONS`, or `look NAME WANTED`, which reads it from its beginning and says what is wrong.

A record has a source of its own in which numbers count up, so that what is missing or out of order is seen without
knowing what was sent: by `n` of the data within each `part`, by `seq` within each tenant.

`file` in place of `look` reads the database of a broker that keeps its records in SQLite: its table of headers has no
index, so that answering a consumer takes it the square of their number.
"""

import json
import sqlite3
import sys
import time

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BROKER, WHAT, NAME, COUNT = sys.argv[1:5]
# A broker that just came back may need this long to answer.
PATIENCE_S = 60


def make():
    admin = AdminClient({"bootstrap.servers": BROKER})
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            made = admin.create_topics([NewTopic(NAME, int(COUNT), 1)], operation_timeout=5)
            [future.result(10) for future in made.values()]
            return
        except Exception as error:  # noqa: BLE001: whatever it is, it is tried again, and told in the end
            if time.monotonic() > until:
                raise
            if "already exists" in str(error).lower() or "TOPIC_ALREADY_EXISTS" in str(error):
                return
            time.sleep(0.5)


class Seen:
    """What was seen of a topic, message by message."""

    def __init__(self):
        self.events, self.messages, self.out_of_order = set(), 0, 0
        self.last_seq, self.last_n, self.counts = {}, {}, {}

    def take(self, tenant, event, seq, data):
        self.messages += 1
        if event in self.events:
            return
        self.events.add(event)
        self.out_of_order += seq <= self.last_seq.get(tenant, -1)
        self.last_seq[tenant] = seq
        self.counts[tenant] = self.counts.get(tenant, 0) + 1
        if b'"n":' in data:
            record = json.loads(data)
            part, n = (tenant, record["part"]), record["n"]
            self.out_of_order += n <= self.last_n.get(part, -1)
            self.last_n[part] = n

    def tell(self):
        print(json.dumps({
            "messages": self.messages,
            "records": len(self.events),
            "twice": self.messages - len(self.events),
            "out_of_order": self.out_of_order,
            "tenants": sorted(self.counts.values()),
        }))


def look():
    wanted = int(COUNT)
    consumer = Consumer({
        "bootstrap.servers": BROKER,
        "group.id": f"look-{time.time_ns()}",
        "enable.auto.commit": False,
        "fetch.message.max.bytes": 8 << 20,
    })
    partitions = consumer.list_topics(NAME, timeout=PATIENCE_S).topics[NAME].partitions
    consumer.assign([TopicPartition(NAME, partition, 0) for partition in partitions])
    seen = Seen()
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < (5 if len(seen.events) >= wanted else PATIENCE_S):
        for message in consumer.consume(5000, 1.0):
            if message.error():
                continue
            quiet_since = time.monotonic()
            headers = dict(message.headers())
            seen.take(message.key(), headers["event_id"], int(headers["seq"]), message.value())
    # Not closed: leaving a group that was never joined only takes time.
    seen.tell()


def file():
    database = sqlite3.connect(f"file:{BROKER}?mode=ro", uri=True)
    topic = "topition IN (SELECT p.id FROM topition p JOIN topic t ON t.id = p.topic WHERE t.name = ?)"
    headers = {}
    rows = f"SELECT topition, offset_id, k, v FROM header WHERE {topic} AND k IN (?, ?)"
    for partition, offset, name, value in database.execute(rows, (NAME, b"event_id", b"seq")):
        headers.setdefault((partition, offset), {})[bytes(name)] = bytes(value)
    seen = Seen()
    rows = f"SELECT topition, offset_id, k, v FROM record WHERE {topic} ORDER BY topition, offset_id"
    for partition, offset, tenant, data in database.execute(rows, (NAME,)):
        of = headers[(partition, offset)]
        seen.take(bytes(tenant), of[b"event_id"], int(of[b"seq"]), bytes(data))
    seen.tell()


{"make": make, "look": look, "file": file}[WHAT]()
