"""Sends records of a kilobyte to a topic for some seconds, with the settings and headers of Tollgate's relay."""

import json
import random
import sys
import time

from confluent_kafka import Producer

BROKER, TOPIC, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
producer = Producer({
    "bootstrap.servers": BROKER,
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": 0,
    "compression.type": "lz4",
    "linger.ms": 5,
    "queue.buffering.max.messages": 100000,
    "queue.buffering.max.kbytes": 131072,
})
rng = random.Random(7)
NOTES = ["".join(rng.choices("0123456789", k=890)) for _ in range(500)]
HEADERS = [(name, b"x" * 20) for name in (
    "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_tenantid", "ce_projectid", "ce_serviceid",
    "ce_consumerid", "ce_keyid", "content-type", "event_id", "seq", "shard", "producer_epoch")]
BODIES = [json.dumps({"id": "#" * 16, "type": "order.placed", "city": "Berlin", "state": "pending",
                      "currency": "euro", "note": note}).encode().ljust(1023, b" ") for note in NOTES]
acknowledged = 0


def delivered(error, _message):
    global acknowledged
    acknowledged += error is None


start, cpu = time.monotonic(), time.process_time()
at = 0
while time.monotonic() - start < SECONDS:
    for _ in range(500):
        while True:
            try:
                producer.produce(TOPIC, BODIES[at % 500], key=b"ten_bench", headers=HEADERS, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.05)
        at += 1
    producer.poll(0)
producer.flush(60)
print(json.dumps({
    "records": acknowledged,
    "seconds": time.monotonic() - start,
    "cpu_us": (time.process_time() - cpu) * 1e6,
}))
