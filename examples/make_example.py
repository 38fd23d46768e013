#!/usr/bin/env python3
"""Makes the example: images of ten shapes, and a small network trained to tell them apart.

Task: each image (3x32x32) shows one large shape out of ten: disc, ring, crescent, half disc, triangle, square,
cross, star, L, bow tie. Colour, stripes, position, size, stretch and rotation are random; the background is uneven,
small dots and lines distract, a bar may cover a part, and noise lies over all.

Network: 19 weighted layers with 60,352 weights: a stem, two residual blocks, four inverted residual blocks with
depthwise convolutions, global average pooling and one linear layer.

Writes into --out (default: the folder of this script)
    shapes.onnx       input `image` [N, 3, 32, 32], output `logits` [N, 10]; batch norms folded; opset 13
    calibration.bin   128 images   CIFAR-10 binary records: one label byte,
    selection.bin     256 images   then 3 x 32 x 32 planar RGB bytes
    holdout.bin       500 images
The 16,000 training images exist in memory only. The network takes x = (byte / 255 - 0.5) / 0.25.

Run:  /usr/bin/python3 make_example.py --out /tmp/example      (Debian 12: python3-torch, python3-onnx, python3-numpy)
Time: about 6 minutes on one quiet core (AVX-512); 0.7 GB of memory.

Float top-1 of the committed files: calibration 96.88 % (124 of 128), selection 97.66 % (250 of 256), holdout 96.00 %
(480 of 500).

Everything follows from SEED. The same PyTorch on the same type of CPU gives the same bytes in each file; elsewhere
the images should be the same, while the weights differ, since training amplifies the last bit of each sum.
"""
import argparse
import hashlib
import inspect
import os
import pathlib
import time
import zlib

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch: sums in one order

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

SEED = 20
SIDE = 32
CLASSES = ("disc", "ring", "crescent", "half disc", "triangle", "square", "cross", "star", "L", "bow tie")
SETS = {"calibration": 128, "selection": 256, "holdout": 500}
TRAINING_IMAGES = 16_000
EPOCHS = 18
BATCH = 64
PEAK_RATE = 8e-3


# ---------------------------------------------------------------------------------------------- images


def stream(purpose):
    """A random stream which depends on the seed and its purpose alone."""
    return np.random.Generator(np.random.PCG64([SEED, zlib.crc32(purpose.encode())]))


def shape_distance(kind, u, v):
    """About the signed distance to the outline of a shape of radius 1: negative inside."""
    radius = np.hypot(u, v)

    def box(left, right, top, bottom):
        return np.maximum(np.abs(u - (left + right) / 2) - (right - left) / 2,
                          np.abs(v - (top + bottom) / 2) - (bottom - top) / 2)

    def half_planes(n, offset):
        angles = 2 * np.pi * np.arange(n) / n
        return np.sort(np.stack([u * np.cos(a) + v * np.sin(a) - offset for a in angles]), axis=0)

    if kind == "disc":
        return radius - 0.85
    if kind == "ring":
        return np.abs(radius - 0.75) - 0.22
    if kind == "crescent":
        return np.maximum(radius - 1, 0.75 - np.hypot(u - 0.5, v))
    if kind == "half disc":
        return np.maximum(np.hypot(u, v + 0.4) - 1, -v - 0.4)
    if kind == "triangle":
        return half_planes(3, 0.5)[-1]
    if kind == "square":
        return box(-0.75, 0.75, -0.75, 0.75)
    if kind == "cross":
        return np.minimum(box(-1, 1, -0.3, 0.3), box(-0.3, 0.3, -1, 1))
    if kind == "star":  # inside at least four of five half planes
        return half_planes(5, np.cos(2 * np.pi / 5))[-2]
    if kind == "L":
        return np.minimum(box(-0.7, -0.15, -0.9, 0.9), box(-0.7, 0.7, 0.35, 0.9))
    if kind == "bow tie":
        return np.maximum(np.abs(u) - 0.9, (np.abs(v) - 0.8 * np.abs(u) - 0.08) / 1.28)
    raise ValueError(f"unknown shape {kind!r}")


def coverage(distance):
    """The part of each pixel that is inside, from its distance in pixels."""
    return np.clip(0.5 - distance, 0, 1)[:, None]


def paint(images, part, colours):
    images += part * (colours - images)


def segment_distance(x, y, rng, n, spread, length):
    """Distance to one random segment per image."""
    def draw(low, high):
        return rng.uniform(low, high, (n, 1, 1))

    cx, cy = draw(16 - spread, 16 + spread), draw(16 - spread, 16 + spread)
    angle, half = draw(0, np.pi), draw(*length) / 2
    dx, dy = x - cx, y - cy
    along = dx * np.cos(angle) + dy * np.sin(angle)
    across = dy * np.cos(angle) - dx * np.sin(angle)
    return np.hypot(np.maximum(np.abs(along) - half, 0), across)


def upsample(grid):
    """Bilinear, [n, 3, k, k] to [n, 3, SIDE, SIDE]."""
    k = grid.shape[-1]
    position = np.linspace(0, k - 1, SIDE)
    weights = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(k)))
    return weights @ grid @ weights.T


def draw_batch(rng, labels):
    n = len(labels)

    def draw(low, high, channels=1):
        return rng.uniform(low, high, (n, channels, 1, 1))

    y, x = np.mgrid[0:SIDE, 0:SIDE][:, None].astype(np.float64)
    base = draw(0.1, 0.9, 3)
    images = base + upsample(draw(0.05, 0.2) * rng.standard_normal((n, 3, 5, 5)))

    for _ in range(2):  # small dots and thin lines behind the shape
        cx, cy, size = (rng.uniform(low, high, (n, 1, 1)) for low, high in ((0, 31), (0, 31), (0.8, 2.5)))
        paint(images, coverage(np.hypot(x - cx, y - cy) - size), draw(0, 1, 3))
        paint(images, coverage(segment_distance(x, y, rng, n, 15, (4, 14)) - 0.6), draw(0, 1, 3))

    # The shape: a colour at some distance from the background's, with stripes.
    step = rng.standard_normal((n, 3, 1, 1))
    step *= draw(0.45, 0.9) / np.linalg.norm(step, axis=1, keepdims=True)
    step = np.where((base + step < 0) | (base + step > 1), -step, step)
    size, stretch, turn = (rng.uniform(low, high, (n, 1, 1)) for low, high in ((7, 12), (0.85, 1.18), (0, 2 * np.pi)))
    room = 16.5 - size
    cx, cy = (15.5 + rng.uniform(-1, 1, (n, 1, 1)) * room for _ in range(2))
    u = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)) / (size * stretch)
    v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) / (size / stretch)
    distance = np.empty_like(u)
    for label, kind in enumerate(CLASSES):
        mine = labels == label
        distance[mine] = shape_distance(kind, u[mine], v[mine])
    waves = np.sin(x * rng.uniform(-1.5, 1.5, (n, 1, 1)) + y * rng.uniform(-1.5, 1.5, (n, 1, 1)))
    fill = np.clip(base + step, 0, 1) + draw(0, 0.15, 3) * waves[:, None]
    paint(images, coverage(distance * size), fill)

    # A bar in front of it, and noise.
    bar = segment_distance(x, y, rng, n, 9, (6, 20))
    paint(images, coverage(bar - rng.uniform(0.5, 1.5, (n, 1, 1))), draw(0, 1, 3))
    images += draw(0.02, 0.06) * rng.standard_normal(images.shape)
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)


def make_set(name, count):
    """Images [count, 3, 32, 32] of bytes and their labels; each class equally often."""
    rng = stream(name)
    labels = rng.permutation(np.arange(count) % len(CLASSES)).astype(np.uint8)
    parts = [draw_batch(rng, labels[i:i + 500]) for i in range(0, count, 500)]
    return np.concatenate(parts), labels


def normalise(images):
    return (torch.from_numpy(images).float() / 255 - 0.5) / 0.25


# --------------------------------------------------------------------------------------------- network


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; in training each image skips them with probability `skip`."""

    def __init__(self, inputs, outputs, stride, skip=0.0):
        super().__init__()
        self.body = nn.Sequential(*conv(inputs, outputs, 3, stride), nn.ReLU(), *conv(outputs, outputs, 3))
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(*conv(inputs, outputs, 1, stride))
        self.skip = skip

    def forward(self, x):
        change = self.body(x)
        if self.training and self.skip:
            change = change * (torch.rand(len(x), 1, 1, 1) >= self.skip) / (1 - self.skip)
        return F.relu(change + self.shortcut(x))


class InvertedResidual(nn.Module):
    """Widen by 1x1, depthwise 3x3, narrow by 1x1, as in MobileNetV2."""

    def __init__(self, inputs, hidden, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(*conv(inputs, hidden, 1), nn.ReLU6(), *conv(hidden, hidden, 3, stride, hidden),
                                  nn.ReLU6(), *conv(hidden, outputs, 1))
        self.same = inputs == outputs and stride == 1

    def forward(self, x):
        return x + self.body(x) if self.same else self.body(x)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(*conv(3, 16, 3), nn.ReLU())
        self.stage1 = nn.Sequential(Residual(16, 24, 2), InvertedResidual(24, 72, 24, 1))
        self.stage2 = nn.Sequential(InvertedResidual(24, 96, 32, 2), InvertedResidual(32, 96, 32, 1))
        self.stage3 = nn.Sequential(InvertedResidual(32, 128, 36, 2), Residual(36, 36, 1, skip=0.3))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(36, len(CLASSES))

    def forward(self, image):
        features = self.stage3(self.stage2(self.stage1(self.stem(image))))
        return self.head(torch.flatten(self.pool(features), 1))


def turned(images, turn):
    """One of the eight turns and mirrorings: a shape keeps its class."""
    images = torch.rot90(images, turn % 4, (2, 3))
    return images.flip(3) if turn >= 4 else images


def train(network, images, labels):
    network.to(memory_format=torch.channels_last)  # twice as fast
    inputs, targets = normalise(images), torch.from_numpy(labels).long()
    order = stream("order of training")
    steps = EPOCHS * (len(inputs) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps, pct_start=0.2)
    network.train()
    for epoch in range(EPOCHS):
        total, correct, start = 0.0, 0, time.monotonic()
        batches = order.permutation(len(inputs))[:len(inputs) // BATCH * BATCH].reshape(-1, BATCH)
        for batch in batches:
            batch = torch.from_numpy(batch)
            image = turned(inputs[batch], int(order.integers(8)))
            logits = network(image.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits, targets[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
            correct += (logits.argmax(1) == targets[batch]).sum().item()
        print(f"epoch {epoch + 1:2d}/{EPOCHS}  loss {total / len(batches):.4f}  "
              f"top-1 {100 * correct / batches.size:.2f} %  {time.monotonic() - start:.1f} s", flush=True)
    network.eval()


# ---------------------------------------------------------------------------------------------- output


def export(network, path):
    options = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    torch.onnx.export(network, torch.zeros(1, 3, SIDE, SIDE), str(path), opset_version=13,
                      input_names=["image"], output_names=["logits"],
                      dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}}, **options)


def main():
    parser = argparse.ArgumentParser(description="Makes the images and the network of the example.")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    start = time.monotonic()

    sets = {name: make_set(name, count) for name, count in SETS.items()}
    for name, (images, labels) in sets.items():
        np.concatenate([labels[:, None], images.reshape(len(images), -1)], axis=1).tofile(out / f"{name}.bin")

    training = make_set("training", TRAINING_IMAGES)
    print(f"images made in {time.monotonic() - start:.1f} s", flush=True)
    network = Network()
    train(network, *training)
    export(network, out / "shapes.onnx")

    for name, (images, labels) in sets.items():
        with torch.no_grad():
            right = int((network(normalise(images)).argmax(1).numpy() == labels).sum())
        print(f"float top-1 on {name}: {right} of {len(labels)} = {100 * right / len(labels):.2f} %")
    print(f"weights: {sum(p.numel() for p in network.parameters() if p.dim() > 1)}")
    for path in ["shapes.onnx", *(f"{name}.bin" for name in SETS)]:
        data = (out / path).read_bytes()
        print(f"{hashlib.sha256(data).hexdigest()}  {path}  {len(data)} bytes")
    print(f"{time.monotonic() - start:.0f} s in all")


if __name__ == "__main__":
    main()
