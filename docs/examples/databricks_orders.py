# Databricks notebook source
# Posts what arrives in a Delta table to Tollgate, each row once: the checkpoint says which rows come, the column `id`
# makes a batch that runs twice count once.

import os
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)) if "__file__" in globals() else os.getcwd())
from spark_orders import sender  # noqa: E402  (this file's neighbour, in the same folder of the workspace)

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
try:
    key = dbutils.secrets.get("tollgate", "key")  # noqa: F821  (there on Databricks alone)
except NameError:
    key = os.environ["TOLLGATE_KEY"]
url = os.environ["TOLLGATE_URL"]
source = os.environ.get("ORDERS", "main.shop.orders")

# A table on Databricks; a folder of JSON lines elsewhere.
stream = spark.readStream.schema("id string, amount long, city string").json(source) if "/" in source else (
    spark.readStream.table(source)
)
post = sender(url, key)
query = (
    stream.writeStream.foreachBatch(lambda rows, _batch: rows.foreachPartition(post))
    .option("checkpointLocation", os.environ.get("CHECKPOINT", "/Volumes/main/shop/checkpoints/tollgate"))
    .trigger(availableNow=True)
    .start()
)
query.awaitTermination()
