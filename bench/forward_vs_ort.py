#!/usr/bin/env python3
"""bitplan's forward pass and ONNX Runtime's side by side: the two alternate, the medians are compared.

forward_vs_ort.py BENCH_FORWARD MODEL.onnx... [--batch 1 8 64] [--threads 1 2] [--rounds 5] [--seconds 1]
                  [--clock cpu|wall]

Speeds are samples a second of all threads together. bitplan's threads run batches of their own, ONNX Runtime's share
one batch. `cpu`: CPU time divided by threads (ONNX Runtime's threads then wait without spinning), for busy machines;
`wall` for idle ones. Ratios of times: below 1 bitplan is faster; `fake/float` is the price of fake quantization,
`integer/ort` compares 8-bit integer layers with ONNX
Runtime's float network, on CPUs that have exact 8-bit products. Memory: peak resident size of one process each.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import time

import numpy as np
import onnxruntime


def ort_session(model, threads, clock):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if clock == "cpu":
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def ort_inputs(session, batch):
    rng = np.random.default_rng(1)
    inputs = {}
    for tensor in session.get_inputs():
        shape = [size if isinstance(size, int) else batch for size in tensor.shape]
        is_float = tensor.type == "tensor(float)"
        inputs[tensor.name] = rng.standard_normal(shape, np.float32) if is_float else np.zeros(shape, np.int64)
    return inputs


def ort_speed(session, inputs, args, batch, threads):
    def now():
        return time.process_time() / threads if args.clock == "cpu" else time.perf_counter()

    session.run(None, inputs)
    runs, start = 0, now()
    while now() - start < args.seconds:
        session.run(None, inputs)
        runs += 1
    return runs * batch / (now() - start)


def ort_memory(model, batch, threads):
    """Peak memory of a process that does nothing else."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import forward_vs_ort as f\n"
        "s = f.ort_session(sys.argv[2], int(sys.argv[4]), 'wall'); i = f.ort_inputs(s, int(sys.argv[3]))\n"
        "s.run(None, i); s.run(None, i)\n"
        "print([int(l.split()[1]) * 1024 for l in open('/proc/self/status') if l.startswith('VmHWM')][0])"
    )
    here = os.path.dirname(os.path.abspath(__file__))
    command = [sys.executable, "-c", code, here, model, str(batch), str(threads)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def bitplan(args, model, batch, threads, seconds, mode):
    command = [args.program, model, str(batch), str(threads), str(seconds), mode, args.clock]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    speeds = {name: float(speed) for name, speed in re.findall(r"^(\w+) ([0-9.e+]+) samples/s", out, re.M)}
    return speeds, int(re.search(r"peak memory (\d+)", out).group(1))


def compare(args, model, batch, threads):
    session = ort_session(model, threads, args.clock)
    inputs = ort_inputs(session, batch)
    rounds = {}
    for _ in range(args.rounds):
        rounds.setdefault("ort", []).append(ort_speed(session, inputs, args, batch, threads))
        speeds, _ = bitplan(args, model, batch, threads, args.seconds, "all")
        for name, speed in speeds.items():
            rounds.setdefault(name, []).append(speed)
    speed = {name: statistics.median(values) for name, values in rounds.items()}
    memory = bitplan(args, model, batch, threads, 0, "float")[1], ort_memory(model, batch, threads)
    return speed, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    args = parser.parse_args()
    print(f"samples a second ({args.clock} time), median of {args.rounds} rounds; ratios are of times, memory in MB")
    print(
        f"{'model':24} {'batch':>5} {'threads':>7} {'ort':>8} {'float':>8} {'fake':>8} {'integer':>8}"
        f" {'float/ort':>9} {'fake/float':>10} {'integer/ort':>11} {'memory':>7} {'ort':>6} {'ratio':>5}"
    )
    for model in args.models:
        name = os.path.basename(model)
        if name == "model.onnx":
            name = os.path.basename(os.path.dirname(model))
        for batch in args.batch:
            for threads in args.threads:
                speed, (ours, theirs) = compare(args, model, batch, threads)
                integer = f"{speed['integer']:8.0f}" if "integer" in speed else f"{'-':>8}"
                integer_ratio = f"{speed['ort'] / speed['integer']:11.2f}" if "integer" in speed else f"{'-':>11}"
                print(
                    f"{name:24} {batch:5} {threads:7} {speed['ort']:8.0f} {speed['float']:8.0f} {speed['fake']:8.0f}"
                    f" {integer} {speed['ort'] / speed['float']:9.2f} {speed['float'] / speed['fake']:10.2f}"
                    f" {integer_ratio} {ours / 1e6:7.0f} {theirs / 1e6:6.0f} {ours / theirs:5.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
