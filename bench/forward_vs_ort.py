#!/usr/bin/env python3
"""bitplan's forward pass and ONNX Runtime's side by side: the two alternate, the medians are compared.

forward_vs_ort.py BENCH_FORWARD MODEL.onnx... [--batch 32] [--rounds 5] [--seconds 1]
One thread each, CPU time. Ratios above 1: bitplan is faster.
"""
import argparse
import os
import re
import statistics
import subprocess
import time

import numpy as np
import onnxruntime


def ort_session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session


def ort_inputs(session, batch):
    rng = np.random.default_rng(1)
    inputs = {}
    for tensor in session.get_inputs():
        shape = [size if isinstance(size, int) else batch for size in tensor.shape]
        is_float = tensor.type == "tensor(float)"
        inputs[tensor.name] = rng.standard_normal(shape, np.float32) if is_float else np.zeros(shape, np.int64)
    return inputs


def ort_speed(session, inputs, batch, seconds):
    session.run(None, inputs)
    runs, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        session.run(None, inputs)
        runs += 1
    return runs * batch / (time.process_time() - start)


def bitplan_speed(program, model, batch, seconds):
    command = [program, model, str(batch), "1", str(seconds)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(x) for x in re.findall(r"([0-9.e+]+) samples/s", out)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    args = parser.parse_args()
    print(f"samples per CPU second at batch {args.batch}, 1 thread, median of {args.rounds} rounds")
    print(f"{'model':20} {'onnxruntime':>11} {'float':>9} {'quantized':>9} {'float/ort':>9} {'float/quantized':>15}")
    for model in args.models:
        session = ort_session(model)
        inputs = ort_inputs(session, args.batch)
        ort, plain, fake = [], [], []
        for _ in range(args.rounds):
            ort.append(ort_speed(session, inputs, args.batch, args.seconds))
            speeds = bitplan_speed(args.program, model, args.batch, args.seconds)
            plain.append(speeds[0])
            fake.append(speeds[1])
        o, p, q = map(statistics.median, (ort, plain, fake))
        name = os.path.basename(model)
        print(f"{name:20} {o:11.0f} {p:9.0f} {q:9.0f} {p / o:9.2f} {p / q:15.2f}", flush=True)


if __name__ == "__main__":
    main()
