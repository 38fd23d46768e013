#!/usr/bin/env python3
"""Runs every public model below BITPLAN_DATA through `bitplan run` and compares with the stored ONNX Runtime outputs.

    run_public_models.py BITPLAN

Cases: zoo/NAME (model.onnx, inputs.npz, outputs.npz); cifar10/NAME.onnx with NAME_logits32.npy (evaluation_1000.bin);
imagenet/NAME.onnx with NAME_output8.npy (images8_uint8.npy); lm/NAME.onnx with NAME_logits8.npy (every 16th position of
the first windows of tokens_wikitext2.npy). A difference above 1e-4 of the largest output value, an error or a model
without stored outputs fails. Each folder prints `zoo FOLDER: N passed, M failed, K not taken`.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}; scripts/setup --tests installs tests/requirements.txt into .venv")
    sys.exit(77)

BOUND = 1e-4
# How the models' images are normalised: the exception, then the rule.
HALF = {"vit_tiny": (np.full(3, 0.5), np.full(3, 0.5))}
IMAGENET = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))


def normalised(images, mean, std):
    return ((images / 255.0 - mean[:, None, None]) / std[:, None, None]).astype(np.float32)


def zoo(root):
    for model in sorted(root.glob("*/model.onnx")):
        yield (model.parent.name, model, dict(np.load(model.parent / "inputs.npz")),
               dict(np.load(model.parent / "outputs.npz")), lambda y: y)


def cifar10(root):
    records = np.fromfile(root / "evaluation_1000.bin", np.uint8).reshape(-1, 3073)
    for model in sorted(root.glob("*.onnx")):
        expected = np.load(root / f"{model.stem}_logits32.npy")
        images = records[:len(expected), 1:].reshape(-1, 3, 32, 32)
        yield model.stem, model, {"input": normalised(images, *IMAGENET)}, {"logits": expected}, lambda y: y


def imagenet(root):
    images = np.load(root / "images8_uint8.npy")
    for model in sorted(root.glob("*.onnx")):
        expected = np.load(root / f"{model.stem}_output8.npy")
        yield (model.stem, model, {None: normalised(images, *HALF.get(model.stem, IMAGENET))}, {None: expected},
               lambda y: y)


def lm(root):
    tokens = np.load(root / "tokens_wikitext2.npy")
    for model in sorted(root.glob("*.onnx")):
        expected = np.load(root / f"{model.stem}_logits8.npy")
        yield (model.stem, model, {"input_ids": tokens[:len(expected)].astype(np.int64)}, {None: expected},
               lambda y: y[:, ::16])


def input_name(program, model):
    """The only input's name, from what the program itself says when it is not given."""
    shown = subprocess.run([program, "inspect", str(model), "--json"], capture_output=True, text=True)
    return json.loads(shown.stdout)["inputs"][0]["name"]


def problem_of(program, model, inputs, outputs, pick):
    """What is wrong with one model, or None."""
    with tempfile.TemporaryDirectory(prefix="bitplan-public-") as name:
        folder = pathlib.Path(name)
        arguments = []
        for i, (key, value) in enumerate(inputs.items()):
            np.save(folder / f"input_{i}.npy", value)
            arguments += ["--input", f"{key or input_name(program, model)}={folder / f'input_{i}.npy'}"]
        done = subprocess.run([program, "run", str(model), *arguments, "--out", str(folder / "out")],
                              capture_output=True, text=True)
        if done.returncode != 0:
            return f"exit {done.returncode}: {done.stderr.strip()[-400:]}"
        for key, expected in outputs.items():
            file = folder / "out" / f"{key.replace('/', '_')}.npy" if key else next((folder / "out").glob("*.npy"))
            found = pick(np.load(file))
            if found.shape != expected.shape:
                return f"output {file.stem} has shape {found.shape}, expected {expected.shape}"
            error = np.abs(found.astype(np.float64) - expected).max() / np.abs(expected).max()
            if not error <= BOUND:
                return f"output {file.stem} differs by {error:.2e} of the largest value"
    return None


def main():
    program = sys.argv[1]
    data = pathlib.Path(os.environ.get("BITPLAN_DATA", pathlib.Path(__file__).parents[2] / "../shared/data"))
    failed_anywhere = taken = 0
    for family in (zoo, cifar10, imagenet, lm):
        root = data / family.__name__
        if not root.is_dir():
            print(f"skipped: {root} is not there")
            continue
        passed = failed = 0
        for name, model, inputs, outputs, pick in family(root):
            problem = problem_of(program, model, inputs, outputs, pick)
            passed, failed = passed + (problem is None), failed + (problem is not None)
            if problem:
                print(f"FAILED {family.__name__}/{name}: {problem}")
        print(f"zoo {family.__name__}: {passed} passed, {failed} failed, 0 not taken", flush=True)
        failed_anywhere += failed
        taken += passed + failed
    sys.exit(1 if failed_anywhere else 0 if taken else 77)


if __name__ == "__main__":
    main()
