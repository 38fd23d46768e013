#!/usr/bin/env python3
"""GPTQ and HQQ on one weight: bench_quantizers beside the reference Python (torch), in one run.

quantizers_vs_python.py BENCH_QUANTIZERS [ROWS [COLUMNS [GROUP [THREADS]]]]

GPTQ: the sweep of github.com/IST-DASLab/gptq (gptq.py, fasterquant: blocks of 128, damping 1 %, groups found on the
way), HQQ: optimize_weights_proximal_legacy of the package hqq (20 steps at most), both as published, in float32 on the CPU.
Everything runs twice and the faster run counts: memory that a virtual machine touches for the first time costs up to a
second. Prints wall and CPU seconds of each and the ratio reference / ours. Asserts nothing.
"""
import subprocess
import sys
import time

import torch


def gptq(weight, moments, group, block=128, bits=4):
    w, h = weight.clone(), moments.clone()
    rows, columns = w.shape
    levels = 2**bits - 1
    h.diagonal().add_(0.01 * h.diagonal().mean())
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    out = torch.zeros_like(w)
    for begin in range(0, columns, block):
        end = min(begin + block, columns)
        part, errors = w[:, begin:end].clone(), torch.zeros(rows, end - begin)
        local = inverse[begin:end, begin:end]
        for i in range(end - begin):
            column, pivot = part[:, i], local[i, i]
            if (begin + i) % group == 0:
                values = w[:, begin + i : begin + i + group]
                low, high = values.min(1).values.clamp(max=0), values.max(1).values.clamp(min=0)
                scale = ((high - low) / levels).unsqueeze(1)
                zero = torch.round(-low.unsqueeze(1) / scale)
            q = torch.clamp(torch.round(column.unsqueeze(1) / scale) + zero, 0, levels)
            q = (scale * (q - zero)).flatten()
            out[:, begin + i] = q
            error = (column - q) / pivot
            part[:, i:] -= error.unsqueeze(1).matmul(local[i, i:].unsqueeze(0))
            errors[:, i] = error
        w[:, end:] -= errors.matmul(inverse[begin:end, end:])
    return out


def hqq(weight, group, bits=4, p=0.7, beta=10.0, steps=20):
    w = weight.reshape(-1, group)
    low, high = w.min(1, keepdim=True).values, w.max(1, keepdim=True).values
    scale = ((2**bits - 1) / (high - low)).clamp(max=2e4)
    zero, best = -low * scale, 1e4
    for _ in range(steps):
        q = torch.round(w * scale + zero).clamp(0, 2**bits - 1)
        r = (q - zero) / scale
        e = w - r
        e = torch.sign(e) * torch.nn.functional.relu(torch.abs(e) - (1.0 / beta) * torch.pow(torch.abs(e), p - 1))
        zero = torch.mean(q - (w - e) * scale, dim=1, keepdim=True)
        error = float(torch.abs(w - r).mean())
        if error >= best:
            break
        best = error
    return torch.round(w * scale + zero).clamp(0, 2**bits - 1), scale, zero


def measured(work):
    runs = []
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        runs.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(runs)


def measured_ours(program, arguments):
    runs = {}
    for _ in range(2):
        lines = subprocess.run([program, *map(str, arguments)], check=True, text=True, capture_output=True).stdout
        for name, wall, cpu in (words for words in map(str.split, lines.splitlines()) if len(words) == 3):
            runs.setdefault(name, []).append((float(wall), float(cpu)))
    return {name: min(figures) for name, figures in runs.items()}


def main():
    program = sys.argv[1]
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 4096
    columns = int(sys.argv[3]) if len(sys.argv) > 3 else rows
    group = int(sys.argv[4]) if len(sys.argv) > 4 else 64
    threads = int(sys.argv[5]) if len(sys.argv) > 5 else 2
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    weight = torch.randn(rows, columns)
    x = torch.randn(2 * columns, columns)
    x += 0.5 * x[:, :1]
    moments = x.t() @ x / len(x)
    reference = {"hqq": measured(lambda: hqq(weight, group)), "gptq": measured(lambda: gptq(weight, moments, group))}
    ours = measured_ours(program, (rows, columns, group, threads))
    print(f"{rows} x {columns}, groups of {group}, {threads} threads: seconds wall / CPU")
    for name, (wall, cpu) in reference.items():
        our_wall, our_cpu = ours[name]
        print(f"{name:6} reference {wall:8.2f} /{cpu:8.2f}   ours {our_wall:8.2f} /{our_cpu:8.2f}   "
              f"ratio {wall / our_wall:6.1f} /{cpu / our_cpu:6.1f}")


if __name__ == "__main__":
    main()
