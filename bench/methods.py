#!/usr/bin/env python3
"""Every method of the configs/methods_*.yaml on whole networks, as one markdown table each (docs/roundings.md).

    bench/methods.py build/release/bitplan [--samples N] [--finish sequential,bias] [llama|resnet20|resnet18|mobilenetv2|vit_tiny ...]

Holdout figures; CPU seconds are those of making the weights. BITPLAN_DATA as for the experiments. Takes an hour or more on
two cores: learned rounding of ResNet-18 and of the Llama are most of it.
"""
import argparse
import json
import os
import pathlib
import subprocess

CIFAR = ("resnet20", "resnet18", "mobilenetv2")
MODELS = CIFAR + ("vit_tiny", "llama")


def rows(program, model, samples, finish):
    configs = pathlib.Path(__file__).resolve().parent.parent / "configs"
    config = configs / f"methods_{'cifar10' if model in CIFAR else model}.yaml"
    command = [program, "evaluate", str(config), "--each", "--on", "holdout", "--json"]
    if samples:
        command += ["--set", f"data.holdout.samples={samples}"]
    if finish:
        command += ["--finish", finish]
    done = subprocess.run(command, env=dict(os.environ, NET=model), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def table(plans):
    quality = "perplexity" if "perplexity" in plans[0]["losses"] else "top1"
    lines = [f"| plan | kl | {quality} | CPU s |", "|---|---|---|---|"]
    for plan in plans:
        losses = plan["losses"]
        shown = f"{100 * losses['top1']:.1f} %" if quality == "top1" else f"{losses['perplexity']:.2f}"
        name = plan["plan"].removeprefix("uniform ")
        lines.append(f"| {name} | {losses['kl']:.4g} | {shown} | {plan['cpu_seconds_for_weights']:.1f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("models", nargs="*", metavar="MODEL", help=" ".join(MODELS) + " (default: all)")
    parser.add_argument("--samples", type=int, default=0, help="of the holdout data; 0: all")
    parser.add_argument("--finish", default="")
    options = parser.parse_intermixed_args()
    for model in options.models:
        if model not in MODELS:
            parser.error(f"'{model}' is none of {', '.join(MODELS)}")
    for model in options.models or MODELS:
        print(f"### {model}\n\n{table(rows(options.program, model, options.samples, options.finish))}\n", flush=True)


if __name__ == "__main__":
    main()
