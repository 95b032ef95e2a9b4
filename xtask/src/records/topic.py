"""A topic: `make NAME PARTITIONS`, or `look NAME WANTED`, which reads it from its beginning and says what is wrong.

A record has a source of its own in which numbers count up, so that what is missing or out of order is seen without
knowing what was sent: by `n` of the data within each `part`, by `seq` within each tenant.
"""

import json
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
    seen, messages, out_of_order = set(), 0, 0
    last_seq, last_n, counts = {}, {}, {}
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < (5 if len(seen) >= wanted else PATIENCE_S):
        for message in consumer.consume(5000, 1.0):
            if message.error():
                continue
            quiet_since = time.monotonic()
            messages += 1
            headers = dict(message.headers())
            event = headers["event_id"]
            if event in seen:
                continue
            seen.add(event)
            tenant, seq = message.key(), int(headers["seq"])
            out_of_order += seq <= last_seq.get(tenant, -1)
            last_seq[tenant] = seq
            counts[tenant] = counts.get(tenant, 0) + 1
            if b'"n":' in message.value():
                record = json.loads(message.value())
                part, n = (tenant, record["part"]), record["n"]
                out_of_order += n <= last_n.get(part, -1)
                last_n[part] = n
    # Not closed: leaving a group that was never joined only takes time.
    print(json.dumps({
        "messages": messages,
        "records": len(seen),
        "twice": messages - len(seen),
        "out_of_order": out_of_order,
        "tenants": sorted(counts.values()),
    }))


make() if WHAT == "make" else look()
