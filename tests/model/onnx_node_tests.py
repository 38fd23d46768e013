#!/usr/bin/env python3
"""Runs ONNX's own backend node tests (package onnx==1.16.2) through `bitplan run`, as real files and processes.

    onnx_node_tests.py BITPLAN [--only TEXT] [--verbose]

Every test directory is either run or left out by one of the rules below (docs/operators.md gives their reasons); any
difference, error or crash fails. The last line is `onnx node: N passed, M failed, K not taken`.
"""
import argparse
import collections
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, numpy_helper
except ImportError as error:
    print(f"skipped: {error}; scripts/setup --tests installs tests/requirements.txt into .venv")
    sys.exit(77)

NUMBERS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT8,
           TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.INT32, TensorProto.UINT32,
           TensorProto.INT64, TensorProto.UINT64, TensorProto.BOOL}
HALVES = {TensorProto.FLOAT16: 2.0**-10, TensorProto.BFLOAT16: 2.0**-7}  # spacing of their values, relative

# The version of each operator that opset 11 has: an older model of the same version is marked 11.
NEW = {}
for schema in onnx.defs.get_all_schemas_with_history():
    if schema.domain == "" and schema.since_version <= 11:
        NEW[schema.name] = max(NEW.get(schema.name, 0), schema.since_version)

# Tests whose expected values differ from what PyTorch and ONNX Runtime compute.
DEVIATE = {
    "test_resize_downsample_scales_linear_align_corners": "align_corners divides by a size that is not whole",
    "test_resize_downsample_scales_cubic_align_corners": "align_corners divides by a size that is not whole",
    "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True":
        "ceil_mode counts cells behind the padding",
}

# Inputs that decide shapes: the tests feed them, exporters write them as constants, and so does prepare().
DECIDE_SHAPES = {
    "Col2Im": {1, 2}, "ConstantOfShape": {0}, "CumSum": {1}, "Dropout": {2}, "Expand": {1}, "NonZero": {0},
    "OneHot": {1}, "Pad": {1, 3}, "Range": {0, 1, 2}, "Reshape": {1}, "Resize": {1, 2, 3}, "Slice": {1, 2, 3, 4},
    "Split": {1}, "Squeeze": {1}, "Tile": {1}, "TopK": {1}, "Trilu": {1}, "Unsqueeze": {1},
    **{f"Reduce{kind}": {1} for kind in
       ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")},
}

RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


def load(folder, name):
    message = TensorProto()
    message.ParseFromString((folder / name).read_bytes())
    return message


def array_of(message, declared=TensorProto.UNDEFINED):
    """The package's bfloat16 files call themselves uint16."""
    if TensorProto.BFLOAT16 in (message.data_type, declared):
        raw = np.frombuffer(message.raw_data, np.uint16) if message.raw_data else np.array(message.int32_data, np.uint16)
        return (raw.astype(np.uint32) << 16).view(np.float32).reshape(message.dims)
    return numpy_helper.to_array(message)


def inlined_nodes(model):
    """All nodes, those of model-local functions included, calls of these left out."""
    functions = {(f.domain, f.name): f for f in model.functions}
    nodes = [n for n in model.graph.node] + [n for f in model.functions for n in f.node]
    return [n for n in nodes if (n.domain, n.op_type) not in functions]


class Case:
    """One test directory."""

    def __init__(self, folder, operators):
        self.name = folder.name
        self.folder = folder
        self.model = onnx.load(folder / "model.onnx")
        self.data = folder / "test_data_set_0"
        self.operators = operators

    def not_taken(self):
        """The rule that leaves this test out, or None."""
        if self.name in DEVIATE:
            return DEVIATE[self.name]
        graph = self.model.graph
        opset = next((o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")), 0)
        if any(o.domain not in ("", "ai.onnx") and o.domain not in {f.domain for f in self.model.functions}
               for o in self.model.opset_import):
            return "another domain than ONNX's"
        nodes = inlined_nodes(self.model)
        for value in list(graph.input) + list(graph.output):
            if not value.type.HasField("tensor_type"):
                return "sequence, optional or map"
            if value.type.tensor_type.elem_type not in NUMBERS:
                return "strings, complex, float8 or 4-bit integers"
        missing = sorted({n.op_type for n in nodes} - set(self.operators))
        if RANDOM & set(missing):
            return "random values"
        if missing:
            return "operator not supported: " + missing[0]
        if opset < 11:
            if not all(n.op_type in NEW and NEW[n.op_type] <= opset for n in nodes):
                return "opset before 11, and its operator changed since"
            for imported in self.model.opset_import:
                imported.version = 11
            opset = 11
        if any(self.operators[n.op_type] > opset for n in nodes):
            return "operator newer than its model's opset"
        if self.trains(nodes):
            return "training mode"
        shapes = [array_of(m).size for m in self.messages("input") + self.messages("output")]
        if 0 in shapes:
            return "a tensor without elements"
        return None

    def trains(self, nodes):
        flags = [m for m in self.messages("input") if m.name in ("t", "training_mode") and m.data_type == TensorProto.BOOL]
        flags += [t for t in (a.t for n in nodes for a in n.attribute if a.HasField("t")) if t.data_type == TensorProto.BOOL]
        dropout = any(n.op_type == "Dropout" for n in nodes) and any(array_of(f).any() for f in flags)
        return dropout or any(a.name == "training_mode" and a.i for n in nodes for a in n.attribute)

    def messages(self, kind):
        names = sorted(self.data.glob(kind + "_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
        return [load(self.data, p.name) for p in names]

    def prepare(self, folder):
        """Writes model and inputs; inputs that decide shapes become constants. Returns the arguments of `run`."""
        graph = self.model.graph
        constants = set()
        for node in inlined_nodes(self.model):
            for place in range(len(node.input)):
                if place in DECIDE_SHAPES.get(node.op_type, ()):
                    constants.add(node.input[place])
        arguments = []
        given = self.messages("input")
        feeds = [v for v in graph.input if v.name not in {t.name for t in graph.initializer}]
        for value, message in zip(feeds, given):
            name, kind = value.name, value.type.tensor_type.elem_type
            # The body of a function test computes with shapes that it is given.
            few = len(message.dims) < 2 and kind in (TensorProto.INT32, TensorProto.INT64)
            if name in constants or (few and self.name.endswith("_expanded")):
                constants.add(name)
                message.name = name
                graph.initializer.append(message)
                continue
            file = folder / f"input_{len(arguments)}.npy"
            np.save(file, np.ascontiguousarray(array_of(message, kind)).reshape(tuple(message.dims)))
            arguments += ["--input", f"{name}={file}"]
        kept = [v for v in graph.input if v.name not in constants]
        del graph.input[:]
        graph.input.extend(kept)
        model = folder / "model.onnx"
        onnx.save(self.model, model)
        return [str(model), *arguments, "--out", str(folder / "out")]

    def compare(self, folder):
        """What differs from the stored outputs, or None."""
        for value, message in zip(self.model.graph.output, self.messages("output")):
            found = np.load(folder / "out" / (value.name.replace("/", "_") + ".npy"))
            kind = value.type.tensor_type.elem_type
            expected = array_of(message, kind)
            if kind in HALVES:
                expected = expected.astype(np.float32)  # bitplan computes half precision in float32
            if found.dtype != expected.dtype or found.shape != expected.shape:
                return (f"output '{value.name}' is {found.dtype} {found.shape}, "
                        f"expected {expected.dtype} {expected.shape}")
            if not np.allclose(found, expected, rtol=max(1e-3, HALVES.get(kind, 0)), atol=1e-7, equal_nan=True) or (
                    expected.dtype.kind != "f" and (found != expected).any()):
                return f"output '{value.name}' differs"
        return None

    def run(self, program):
        """None when it passes, else what is wrong."""
        with tempfile.TemporaryDirectory(prefix="bitplan-node-") as name:
            folder = pathlib.Path(name)
            done = subprocess.run([program, "run", *self.prepare(folder)], capture_output=True, text=True, timeout=60)
            if done.returncode != 0:
                return f"exit {done.returncode}: {done.stderr.strip()[-400:]}"
            return self.compare(folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--only", default="", help="part of a test's name")
    parser.add_argument("--verbose", action="store_true", help="name every test that is left out")
    options = parser.parse_args()
    listed = json.loads(subprocess.run([options.program, "list", "operators", "--json"], capture_output=True, text=True,
                                       check=True).stdout)["operators"]
    operators = {row["name"]: int((row["summary"].split() or ["0"])[-1]) for row in listed}
    root = pathlib.Path(onnx.__file__).parent / "backend/test/data/node"
    folders = sorted(root.iterdir()) if root.is_dir() else []
    cases = [Case(f, operators) for f in folders if options.only in f.name]
    if not cases:
        print("skipped: no node tests in this package of onnx (1.16.2 holds 1282)")
        sys.exit(77)
    rules = collections.Counter()
    taken = []
    for case in cases:
        rule = case.not_taken()
        if rule:
            rules[rule] += 1
            if options.verbose:
                print(f"not taken: {case.name}: {rule}")
        else:
            taken.append(case)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = list(pool.map(lambda case: case.run(options.program), taken))
    for case, problem in zip(taken, wrong):
        if problem:
            print(f"FAILED {case.name}: {problem}")
    for rule, count in sorted(rules.items()):
        print(f"  not taken, {rule}: {count}")
    failed = sum(problem is not None for problem in wrong)
    print(f"onnx node: {len(taken) - failed} passed, {failed} failed, {len(cases) - len(taken)} not taken")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
