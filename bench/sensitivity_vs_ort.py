#!/usr/bin/env python3
"""The sensitivity sweep of bitplan against ONNX Runtime's float forward passes of the same images, in one run.

sensitivity_vs_ort.py BENCH_SENSITIVITY MODEL.onnx CIFAR10.bin [--images 256] [--threads 1 2] [--cache 2000000000] [--naive]

ONNX Runtime runs the images before and after the sweep; the median counts. Wall time is meant for an idle machine; CPU
time of all threads is still meaningful on a busy one, at one thread (waiting threads of ONNX Runtime spin). ratio = seconds of the sweep / (site-choices x seconds of one ONNX Runtime pass over the images): below 1 a
site-choice is measured faster than ONNX Runtime runs the float network. The sweep's seconds hold the quantization of
weights, the losses and the float outputs; set-up (import, primitives, calibration) is shown apart and counted in the
last column. --naive adds a sweep without cache (run.cache: 0), whose losses must be the same.
"""
import argparse
import re
import statistics
import subprocess
import time

import numpy as np
import onnxruntime


def images(file, count):
    records = np.fromfile(file, np.uint8, count * 3073).reshape(count, 3073)[:, 1:]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = records.reshape(count, 3, 32, 32) / 255.0
    return ((pixels - mean[:, None, None]) / std[:, None, None]).astype(np.float32)


def ort_seconds(session, pixels, batch, rounds):
    """(wall, CPU) of each round, after one to warm up."""
    name = session.get_inputs()[0].name
    batches = [pixels[i : i + batch] for i in range(0, len(pixels), batch)]
    times = []
    for _ in range(rounds + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        for part in batches:
            session.run(None, {name: part})
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return times[1:]


def sweep(args, threads, cache):
    command = [args.program, args.model, args.data, str(args.images), str(threads), str(cache), str(args.batch)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    pattern = (r"sweep (\S+) s, CPU (\S+) s, for (\d+) .*set-up (\S+) s; runs (\d+), begun half-way (\d+), stored (\d+), "
               r"evicted (\d+), bytes (\d+); losses (\w+)")
    return re.search(pattern, out).groups()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32, help="of both programs")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cache", type=int, nargs="+", default=[2_000_000_000], help="bytes, one sweep each")
    parser.add_argument("--naive", action="store_true")
    args = parser.parse_args()
    pixels = images(args.data, args.images)
    print(f"{'threads':>7} {'cache MB':>8} {'choices':>7} {'ort s':>7} {'sweep s':>8} {'set-up s':>8} {'hits':>6} "
          f"{'MB held':>7} {'ratio':>6} {'with set-up':>11} {'ratio of CPU times':>18}")
    for threads in args.threads:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
        losses = set()
        for cache in args.cache + ([0] if args.naive else []):
            before = ort_seconds(session, pixels, args.batch, 3)
            seconds, cpu, choices, setup, runs, hits, _, _, held, hashed = sweep(args, threads, cache)
            times = before + ort_seconds(session, pixels, args.batch, 3)
            wall, ort_cpu = (int(choices) * statistics.median(column) for column in zip(*times))
            losses.add(hashed)
            print(f"{threads:7} {cache / 1e6:8.0f} {choices:>7} {wall / int(choices):7.3f} {float(seconds):8.2f} "
                  f"{float(setup):8.2f} {int(hits) / max(int(runs), 1):6.1%} {int(held) / 1e6:7.0f} "
                  f"{float(seconds) / wall:6.3f} {(float(seconds) + float(setup)) / wall:11.3f} "
                  f"{float(cpu) / ort_cpu:18.3f}", flush=True)
        print("losses are the same to the bit" if len(losses) == 1 else "LOSSES DIFFER", flush=True)


if __name__ == "__main__":
    main()
