#!/usr/bin/env python3
"""Writes batch normalisations back behind the convolutions of a network that was exported with them folded.

    bench/restore_batch_norm.py MODEL.onnx IMAGES.npy OUT.onnx

Each is an identity: its running mean and variance are those of the convolution's outputs on the images [N, C, H, W], its
beta and gamma the same mean and deviation. So the network computes what it did and tells its statistics, as a network that is
exported with its normalisations does: for +bias:analytic (docs/roundings.md).
"""
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

EPSILON = 1e-5
BATCH = 32


def statistics(model, names, images):
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    for name in names:
        tapped.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(tapped.SerializeToString(), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    sums, squares, count = {n: 0.0 for n in names}, {n: 0.0 for n in names}, {n: 0 for n in names}
    for first in range(0, len(images), BATCH):
        for name, x in zip(names, session.run(names, {entry: images[first : first + BATCH]})):
            x = x.astype(np.float64)
            sums[name] += x.sum((0, 2, 3))
            squares[name] += (x * x).sum((0, 2, 3))
            count[name] += x.size // x.shape[1]
    mean = {n: sums[n] / count[n] for n in names}
    return mean, {n: np.maximum(squares[n] / count[n] - mean[n] ** 2, 0) for n in names}


def main(model_file, images_file, out_file):
    model = onnx.load(model_file)
    graph = model.graph
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    names = [node.output[0] for node in convolutions]
    mean, variance = statistics(model, names, np.load(images_file))
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "Conv":
            continue
        name = node.output[0]
        node.output[0] = name + "/raw"
        values = {
            "scale": np.sqrt(variance[name] + EPSILON),
            "beta": mean[name],
            "mean": mean[name],
            "variance": variance[name],
        }
        for key, value in values.items():
            graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), f"{name}/{key}"))
        inputs = [node.output[0]] + [f"{name}/{key}" for key in values]
        nodes.append(helper.make_node("BatchNormalization", inputs, [name], node.name + "/norm", epsilon=EPSILON))
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    onnx.save(model, out_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
