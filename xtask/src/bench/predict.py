"""What people write for this: FastAPI, a look-up of the key, onnxruntime. One worker, one thread for the model.

    predict.py PORT MODEL KEYS
"""

import hashlib
import sys

import numpy
import onnxruntime
import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

port, model, keys = int(sys.argv[1]), sys.argv[2], sys.argv[3]
known = {}
with open(keys) as lines:
    for number, line in enumerate(lines):
        known[hashlib.sha256(line.strip().encode()).hexdigest()] = number

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
app = FastAPI()


class Question(BaseModel):
    model: str
    inputs: list[list[float]]


@app.get("/health")
async def health():
    return {"live": True}


@app.post("/api/v1/predict")
async def predict(question: Question, authorization: str = Header()):
    key = authorization.removeprefix("Bearer ")
    if hashlib.sha256(key.encode()).hexdigest() not in known:
        raise HTTPException(401)
    rows = numpy.asarray(question.inputs, dtype=numpy.float32)
    outputs = session.run(names, {"features": rows})
    return {
        "model": question.model,
        "version": "1",
        "outputs": {name: value.tolist() for name, value in zip(names, outputs)},
    }


uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)
