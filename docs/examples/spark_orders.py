"""Posts the rows of a DataFrame to Tollgate, from every executor, in batches that are repeated until they are taken.

    TOLLGATE_URL=https://gateway.example.com/api/v1/ingest TOLLGATE_KEY=mbk_live_… spark-submit spark_orders.py

Rows need a column `id`: it is what a record is told apart by, so that a task that runs twice counts once.
"""

import json
import os
import time
import urllib.error
import urllib.request

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

BATCH = 500
PATIENCE_S = 600


def sender(url, key):
    """What posts the rows of a partition. `key` is a value here, so that executors need no secret store."""

    def post(batch):
        body = json.dumps({"records": batch}).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        until, pause = time.monotonic() + PATIENCE_S, 0.2
        while True:
            try:
                request = urllib.request.Request(url, body, headers)
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                # 429 and 503 say when to come again; other 4xx are wrong however often they are sent.
                if error.code < 500 and error.code not in (409, 429):
                    raise RuntimeError(f"{error.code}: {error.read().decode()}") from error
                pause = float(error.headers.get("Retry-After", pause))
            except OSError:
                pass
            if time.monotonic() > until:
                raise TimeoutError("the batch is not taken")
            time.sleep(pause)
            pause = min(pause * 2, 10)

    def post_partition(rows):
        batch = []
        for row in rows:
            batch.append({"type": "order.placed", **row.asDict()})
            if len(batch) == BATCH:
                post(batch)
                batch = []
        if batch:
            post(batch)

    return post_partition


if __name__ == "__main__":
    spark = SparkSession.builder.appName("orders").getOrCreate()
    orders = spark.range(10_000).select(
        F.col("id").cast("string"), (F.col("id") % 997).alias("amount"), F.lit("Berlin").alias("city")
    )
    orders.foreachPartition(sender(os.environ["TOLLGATE_URL"], os.environ["TOLLGATE_KEY"]))
    print("posted", orders.count())
