#!/usr/bin/env python3
"""Makes `ensembles.json`: small models drawn from fixed seeds, with what onnxruntime answers to the same rows.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
    venv/bin/python ensembles.py

They hold what exporters seldom write: every kind of branch, classes that get no votes, missing values, every transform,
every way to aggregate. Models are in hexadecimal; `null` is not a number.
"""

import json
import math
import pathlib

import numpy
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
FEATURES = 3
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]
dice = numpy.random.default_rng(20)
kept = []
GRID = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]


def rows(kind):
    drawn = dice.choice(GRID + [1e30, -1e30], (8, FEATURES)).astype(kind)
    if kind in (numpy.float32, numpy.float64):
        drawn[0, :] = math.nan
        drawn[1, 0] = math.nan
    return drawn


def plain(kind):
    return dice.uniform(-2, 2, (8, FEATURES)).astype(kind) if kind != numpy.int64 else dice.integers(-3, 4, (8, FEATURES))


def keep(name, nodes, outputs, kind=numpy.float32, ml=3, feed=None):
    number = {numpy.float32: 1, numpy.float64: 11, numpy.int64: 7, numpy.int32: 6}[kind]
    ends = [helper.make_tensor_value_info("x", number, [None, FEATURES])]
    graph = helper.make_graph(nodes, name, ends, [helper.make_tensor_value_info(n, t, None) for n, t in outputs])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", ml)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    if feed is None:
        feed = rows(kind) if kind in (numpy.float32, numpy.float64) else dice.integers(-3, 4, (8, FEATURES)).astype(kind)
    try:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        given = session.run(None, {"x": feed})
        alone = [session.run(None, {"x": feed[i : i + 1]}) for i in range(len(feed))]
    except Exception as error:
        print("left out", name, str(error)[:150])
        return
    for n, (_, value) in enumerate(zip(outputs, given)):
        one = numpy.concatenate([numpy.asarray(a[n]) for a in alone])
        if value.dtype.kind == "f" and not numpy.allclose(one, value, equal_nan=True, rtol=1e-5):
            print("differs by rows", name)
            return
    clean = lambda v: [clean(x) for x in v] if isinstance(v, list) else (
        (None if math.isnan(v) else ("inf" if v > 0 else "-inf") if math.isinf(v) else v) if isinstance(v, float) else v)
    kept.append({
        "name": name,
        "model": model.hex(),
        "rows": clean(feed.tolist()),
        "outputs": {n: clean(numpy.asarray(v).tolist()) for (n, _), v in zip(outputs, given)},
    })


def tree(modes, depth, draw):
    """Nodes of one tree, its root first: (id, feature, mode, value, yes, no, tracks, votes)."""
    found = []

    def grow(left):
        own = len(found)
        found.append(None)
        if left == 0 or (own and dice.random() < 0.25):
            found[own] = (own, 0, "LEAF", 0.0, 0, 0, 0, draw())
            return own
        yes, no = grow(left - 1), grow(left - 1)
        mode = str(dice.choice(modes))
        # Where it does not track them, onnxruntime takes what is missing for something else.
        tracks = 1 if mode == "BRANCH_NEQ" else int(dice.integers(0, 2))
        found[own] = (own, int(dice.integers(0, FEATURES)), mode, float(dice.choice(GRID)), yes, no, tracks, [])
        return own

    grow(depth)
    return found


def attributes(prefix, trees, has_tracks):
    nodes = [(number, *node) for number, nodes in enumerate(trees) for node in nodes]
    votes = [(number, node[0], *vote) for number, nodes in enumerate(trees) for node in nodes for vote in node[7]]
    made = {
        "nodes_treeids": [n[0] for n in nodes],
        "nodes_nodeids": [n[1] for n in nodes],
        "nodes_featureids": [n[2] for n in nodes],
        "nodes_modes": [n[3] for n in nodes],
        "nodes_values": [n[4] for n in nodes],
        "nodes_truenodeids": [n[5] for n in nodes],
        "nodes_falsenodeids": [n[6] for n in nodes],
        f"{prefix}_treeids": [v[0] for v in votes],
        f"{prefix}_nodeids": [v[1] for v in votes],
        f"{prefix}_ids": [v[2] for v in votes],
        f"{prefix}_weights": [v[3] for v in votes],
    }
    if has_tracks:
        made["nodes_missing_value_tracks_true"] = [n[7] for n in nodes]
    return made


def votes(ids, positive):
    def draw():
        chosen = dice.permutation(ids)[: dice.integers(1, min(3, len(ids)) + 1)]
        return [(int(i), float(numpy.float32(dice.uniform(0.02 if positive else -1, 0.3)))) for i in chosen]
    return draw


BOTH = [("label", TensorProto.INT64), ("scores", TensorProto.FLOAT)]


def classifier(name, labels, ids, positive, transform, base, modes=MODES, has_tracks=True, kind=numpy.float32):
    trees = [tree(modes, 3, votes(ids, positive)) for _ in range(3)]
    made = attributes("class", trees, has_tracks)
    if base:
        made["base_values"] = [float(numpy.float32(dice.uniform(-0.3, 0.4))) for _ in range(base)]
    words = isinstance(labels[0], str)
    made["classlabels_strings" if words else "classlabels_int64s"] = labels
    node = helper.make_node("TreeEnsembleClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", post_transform=transform, **made)
    keep(name, [node], [("label", TensorProto.STRING if words else TensorProto.INT64), BOTH[1]], kind,
         feed=None if has_tracks or "BRANCH_NEQ" not in modes else plain(kind))


def regressor(name, targets, aggregate, transform, base, kind=numpy.float32, modes=MODES, has_tracks=True):
    trees = [tree(modes, 3, votes(list(range(targets)), transform == "PROBIT")) for _ in range(3)]
    made = attributes("target", trees, has_tracks)
    if base:
        made["base_values"] = [float(numpy.float32(dice.uniform(-0.3, 0.4))) for _ in range(targets)]
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml",
        n_targets=targets, aggregate_function=aggregate, post_transform=transform, **made)
    keep(name, [node], [("y", TensorProto.FLOAT)], kind)


for transform in TRANSFORMS:
    classifier(f"three classes, {transform}", [5, -3, 9], [0, 1, 2], True, transform, 0)
    classifier(f"three classes with base values, {transform}", [5, -3, 9], [0, 1, 2], False, transform, 3)
    for base in (0, 1, 2):
        classifier(f"two classes, both voted, {base} base values, {transform}", [4, 7], [0, 1], False, transform, base)
        for only in (0, 1):
            for positive in (False, True):
                classifier(f"two classes, {only} voted, {'positive' if positive else 'mixed'}, {base} base values, {transform}",
                           [4, 7], [only], positive, transform, base)
    for targets in (1, 3):
        regressor(f"{targets} targets, {transform}", targets, "SUM", transform, False)
classifier("a class without votes", [0, 1, 2, 3], [0, 2], False, "NONE", 0)
classifier("a class without votes, SOFTMAX_ZERO", [0, 1, 2, 3], [0, 2], False, "SOFTMAX_ZERO", 0)
classifier("one class", [3], [0], True, "NONE", 0)
classifier("texts", ["no", "so", "yes"], [0, 1, 2], True, "SOFTMAX", 0)
classifier("two texts", ["no", "yes"], [0], False, "LOGISTIC", 1)
for aggregate in ("SUM", "AVERAGE", "MIN", "MAX"):
    for targets in (1, 2):
        regressor(f"{aggregate} of {targets}", targets, aggregate, "NONE", False)
        regressor(f"{aggregate} of {targets} with base values", targets, aggregate, "NONE", True)
for mode in MODES:
    classifier(f"{mode} alone", [0, 1, 2], [0, 1, 2], True, "NONE", 0, modes=[mode])
    classifier(f"{mode} alone, nothing said of missing values", [0, 1, 2], [0, 1, 2], True, "NONE", 0, modes=[mode], has_tracks=False)
for kind in (numpy.float64, numpy.int64, numpy.int32):
    classifier(f"classes of {kind.__name__}", [0, 1, 2], [0, 1, 2], False, "SOFTMAX", 0, kind=kind)
    regressor(f"targets of {kind.__name__}", 2, "SUM", "NONE", True, kind=kind)

# The operator of opset 5, its leaves apart from its nodes.
for aggregate in range(4):
    for transform in (0, 1, 2):
        for kind in (numpy.float32, numpy.float64):
            nodes, leaves, roots = [], [], []

            def grow(left):
                if left == 0 or (left < 3 and dice.random() < 0.25):
                    leaves.append((int(dice.integers(0, 2)), float(numpy.float32(dice.uniform(-1, 1)))))
                    return 1, len(leaves) - 1
                own = len(nodes)
                nodes.append(None)
                yes, no = grow(left - 1), grow(left - 1)
                mode = int(dice.integers(0, 6))
                nodes[own] = (int(dice.integers(0, FEATURES)), mode, float(dice.choice(GRID)), yes, no, 1 if mode == 5 else int(dice.integers(0, 2)))
                return 0, own

            for _ in range(3):
                roots.append(grow(3)[1])
            node = helper.make_node(
                "TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml",
                n_targets=2, aggregate_function=aggregate, post_transform=transform, tree_roots=roots,
                nodes_featureids=[n[0] for n in nodes],
                nodes_modes=numpy_helper.from_array(numpy.array([n[1] for n in nodes], numpy.uint8)),
                nodes_splits=numpy_helper.from_array(numpy.array([n[2] for n in nodes], kind)),
                nodes_trueleafs=[n[3][0] for n in nodes], nodes_truenodeids=[n[3][1] for n in nodes],
                nodes_falseleafs=[n[4][0] for n in nodes], nodes_falsenodeids=[n[4][1] for n in nodes],
                nodes_missing_value_tracks_true=[n[5] for n in nodes],
                leaf_targetids=[l[0] for l in leaves],
                leaf_weights=numpy_helper.from_array(numpy.array([l[1] for l in leaves], kind)))
            number = TensorProto.FLOAT if kind == numpy.float32 else TensorProto.DOUBLE
            keep(f"opset 5, aggregate {aggregate}, transform {transform}, {kind.__name__}", [node], [("y", number)], kind, ml=5)


def some(count):
    return [float(numpy.float32(value)) for value in dice.uniform(-1, 1, count)]


for transform in TRANSFORMS:
    for labels in ([3, 5, 8], ["a", "b", "c"]):
        words = isinstance(labels[0], str)
        node = helper.make_node(
            "LinearClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", post_transform=transform, multi_class=1,
            coefficients=some(9), intercepts=some(3), **{"classlabels_strings" if words else "classlabels_ints": labels})
        keep(f"linear classes, {transform}, {labels}", [node], [("label", TensorProto.STRING if words else TensorProto.INT64), BOTH[1]], feed=plain(numpy.float32))
    node = helper.make_node("LinearRegressor", ["x"], ["y"], domain="ai.onnx.ml", post_transform=transform, targets=2, coefficients=some(6), intercepts=some(2))
    keep(f"linear targets, {transform}", [node], [("y", TensorProto.FLOAT)], feed=plain(numpy.float32))
node = helper.make_node("LinearRegressor", ["x"], ["y"], domain="ai.onnx.ml", targets=1, coefficients=some(3))
keep("a linear target without an intercept", [node], [("y", TensorProto.FLOAT)], feed=plain(numpy.float32))
for norm in ("MAX", "L1", "L2"):
    for kind in (numpy.float32, numpy.int64):
        feed = plain(kind)
        feed[0, :] = 0
        keep(f"normalizer {norm} of {kind.__name__}", [helper.make_node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml", norm=norm)], [("y", TensorProto.FLOAT)], kind, feed=feed)
for kind in (numpy.float32, numpy.float64, numpy.int64):
    for count in (1, FEATURES):
        keep(f"scaler of {count}, {kind.__name__}", [helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=some(count), scale=some(count))], [("y", TensorProto.FLOAT)], kind, feed=plain(kind))
for kind in (numpy.float64, numpy.int64):
    chain = [
        helper.make_node("Cast", ["x"], ["f"], to=1),
        helper.make_node("Softmax", ["f"], ["p"], axis=-1),
        helper.make_node("ArgMax", ["p"], ["best"], axis=1, keepdims=0),
        helper.make_node("Sigmoid", ["f"], ["s"]),
    ]
    keep(f"cast, softmax, sigmoid, argmax of {kind.__name__}", chain, [("p", TensorProto.FLOAT), ("best", TensorProto.INT64), ("s", TensorProto.FLOAT)], kind, feed=plain(kind))

print(len(kept), "models")
(HERE / "ensembles.json").write_text("[\n" + ",\n".join(json.dumps(one) for one in kept) + "\n]\n")
