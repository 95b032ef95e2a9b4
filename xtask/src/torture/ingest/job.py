"""A job of Spark that posts records in batches: `job.py RECORDS BATCH MARKER`, the targets in TARGETS.

Each partition posts to one target, batch by batch and in order. A batch without an answer, or with one that says to
come again, is posted again with the same ids, as any pipeline does. The last line on standard output is what it was
told.
"""

import json
import os
import pathlib
import sys
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from pyspark import TaskContext
from pyspark.sql import SparkSession

RECORDS, BATCH = int(sys.argv[1]), int(sys.argv[2])
MARKER = sys.argv[3]
TARGETS = [line.split(" ") for line in os.environ["TARGETS"].splitlines()]
PARTITIONS = 2 * len(TARGETS)
# How long one batch may need, with all that is done to the server meanwhile.
PATIENCE_S = 300

spark = (
    SparkSession.builder.appName("orders")
    .master("local[2]")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.ui.enabled", "false")
    .getOrCreate()
)
told = {name: spark.sparkContext.accumulator(0) for name in ("accepted", "duplicates", "repeated")}


def post_all(rows):
    part = TaskContext.get().partitionId()
    url, key = TARGETS[part % len(TARGETS)]
    url = urlsplit(url)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection = None
    batch = []

    def post():
        nonlocal connection
        body = json.dumps({"records": batch})
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                connection = connection or HTTPConnection(url.hostname, url.port, timeout=30)
                connection.request("POST", url.path, body, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 202:
                    answer = json.loads(text)
                    told["accepted"].add(answer["accepted"])
                    told["duplicates"].add(answer["duplicates"])
                    pathlib.Path(MARKER).touch()
                    return
                if answer.status < 500 and answer.status != 429:
                    raise SystemExit(f"{answer.status}: {text!r}")
            except (OSError, HTTPException):
                connection = None
            if time.monotonic() > until:
                raise TimeoutError("the batch is not taken")
            told["repeated"].add(1)
            time.sleep(0.2)

    for row in rows:
        batch.append({
            "id": str(row.id), "type": "order.placed", "part": part, "n": row.id,
            "city": "Berlin", "amount": row.id % 997, "note": f"{row.id * 2654435761 % 2**32:010d}" * 8,
        })
        if len(batch) == BATCH:
            post()
            batch.clear()
    if batch:
        post()


spark.range(0, RECORDS, 1, PARTITIONS).foreachPartition(post_all)
print(json.dumps({name: counter.value for name, counter in told.items()}))
spark.stop()
