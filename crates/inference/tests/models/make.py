#!/usr/bin/env python3
"""Makes the small ONNX files that tests, the demo and the bench use, from fixed seeds.

    python3 -m venv venv && venv/bin/pip install scikit-learn==1.9.1 skl2onnx==1.20.0 onnx onnxruntime
    venv/bin/python make.py

`expected.json` holds what onnxruntime answers to the same rows, so that tests compare with another
implementation and not with ourselves.
"""

import json
import pathlib

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = pathlib.Path(__file__).parent
DEMO = HERE / "../../../tollgate/src/demo"
expected = {}


def keep(path, model, rows, names=None):
    model.graph.name = path.stem  # the exporter draws one at random
    data = model.SerializeToString()
    path.write_bytes(data)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = {}
    for output, value in zip(session.get_outputs(), session.run(None, {name: rows})):
        if isinstance(value, list):  # ZipMap: a list of maps
            value = numpy.array([list(row.values()) for row in value])
        outputs[output.name] = value.tolist()
    expected[path.stem] = {"input": name, "rows": rows.tolist(), "outputs": outputs}


def converted(model, features, **options):
    kinds = [("features", FloatTensorType([None, features]))]
    return convert_sklearn(model, initial_types=kinds, target_opset={"": 17, "ai.onnx.ml": 3}, **options)


iris = load_iris()
rows = iris.data[::37].astype(numpy.float32)
linear = LogisticRegression(max_iter=500).fit(iris.data, iris.target)
keep(HERE / "logistic.onnx", converted(linear, 4), rows)
scaled = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(iris.data, iris.target)
keep(HERE / "scaled.onnx", converted(scaled, 4), rows)
keep(HERE / "plain.onnx", converted(linear, 4, options={"zipmap": False}), rows)
named = LogisticRegression(max_iter=500).fit(iris.data, iris.target_names[iris.target])
keep(HERE / "labels.onnx", converted(named, 4, options={"zipmap": False}), rows)
forest = RandomForestClassifier(5, max_depth=4, random_state=1).fit(iris.data, iris.target)
keep(HERE / "forest.onnx", converted(forest, 4), rows)

# A made-up question of fraud: amount, hour, country risk, age of the account in days.
dice = numpy.random.default_rng(7)
payments = numpy.column_stack(
    [dice.gamma(2, 60, 4000), dice.integers(0, 24, 4000), dice.random(4000), dice.gamma(2, 200, 4000)]
).astype(numpy.float32)
risk = payments[:, 0] / 150 + 2 * payments[:, 2] - payments[:, 3] / 300 + (payments[:, 1] < 6)
bad = (risk + dice.normal(0, 0.5, 4000) > 1.6).astype(int)
some = payments[:6]
boosted = GradientBoostingClassifier(n_estimators=60, max_depth=3, random_state=1).fit(payments, bad)
keep(HERE / "boosted.onnx", converted(boosted, 4), some)
keep(HERE / "boosted_plain.onnx", converted(boosted, 4, options={"zipmap": False}), some)
fraud = make_pipeline(StandardScaler(), LogisticRegression()).fit(payments, bad)
keep(DEMO / "fraud.onnx", converted(fraud, 4), some)

target = iris.data[:, 3]
price = LinearRegression().fit(iris.data[:, :3], target)
keep(HERE / "linear_regression.onnx", converted(price, 3), iris.data[::37, :3].astype(numpy.float32))
grown = GradientBoostingRegressor(n_estimators=20, max_depth=2, random_state=1).fit(iris.data[:, :3], target)
keep(HERE / "boosted_regression.onnx", converted(grown, 3), iris.data[::37, :3].astype(numpy.float32))

# What is no row of features: y = x + 1 with a fixed shape, so that nothing can be joined.
fixed = helper.make_graph(
    [helper.make_node("Add", ["x", "one"], ["y"])],
    "fixed",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2])],
    [helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])],
)
model = helper.make_model(fixed, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
keep(HERE / "fixed.onnx", model, numpy.array([[1, 2], [3, 4]], dtype=numpy.float32))

(HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
