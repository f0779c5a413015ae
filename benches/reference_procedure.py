#!/usr/bin/env python3
r"""SAP as its reference does it, in float32 torch, beside this tool: the same ResNet-18, the same trusted samples, one α.

    pip install -r benches/requirements.txt
    cargo build --release
    python benches/reference_procedure.py [--json FILE]

The procedure (arXiv 2403.08618): run the trusted samples through the model with hooks; unfold the input of every
convolution into patches; of every layer draw 50,000 rows; take the SVD of that matrix; scale its left singular vectors;
multiply the weight with the projection. The tool takes every row. Both have the same number of threads, and take turns:
the tool runs before and after, its time is the mean of both. Compared are the steps from trusted samples to new weights:

    the procedure: forward with hooks, unfold, draw, SVD, project
    the tool:      `seconds` of its report: moments (with their forward pass), solve, project, patch

Neither scoring, nor validation, nor loading or writing files counts on either side. The model is torchvision's ResNet-18
with the stem for 32 x 32 images (3 x 3, stride 1, no pooling), random weights and measured BatchNorm statistics; what
layers see decides no time. Where a layer has no more than 50,000 rows, both see the same ones, and the new weights must be
the same but for the rounding of float32; this is checked. `--layers REGEX` takes some layers only, on both sides, and
every line says so. The whole of it takes about ten minutes on two cores and 6 GB of memory.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
import torch
import torchvision
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
CLASSES, SIZE = 10, 32
# As in the reference: samples that run at once, and the most rows of a layer.
BATCH, ROWS = 150, 50_000
STEPS = ("forward", "unfold", "draw", "svd", "project")
PHASES = ("moments", "solve", "project", "patch")
TARGET = 20
# What float32 may lose: an SVD in it knows eigenvalues to about 1e-7 of the largest, and a projection bends at 1/α of it.
SAME = 1e-2


def build():
    model = torchvision.models.resnet18(weights=None, num_classes=CLASSES)
    model.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def samples(count, seed):
    """Smooth random images, one coarse pattern a class with noise on it, as inputs of the model."""
    random = torch.Generator().manual_seed(seed)
    patterns = torch.randn(CLASSES, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % CLASSES
    coarse = patterns[labels] + 0.5 * torch.randn(count, 3, 4, 4, generator=random)
    images = nn.functional.interpolate(coarse, size=SIZE, mode="bicubic")
    return images + 0.2 * torch.randn(images.shape, generator=random), labels


def measure_norms(model, images):
    """Fresh running statistics (mean 0, variance 1) would let activations grow with depth."""
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.momentum = None
    model.train()
    with torch.no_grad():
        for batch in images.split(100):
            model(batch)


class Clock:
    """Seconds by step."""

    def __init__(self):
        self.seconds = defaultdict(float)
        self.last = time.perf_counter()

    def lap(self, step):
        now = time.perf_counter()
        self.seconds[step] += now - self.last
        self.last = now


def rows_of(layer, inputs):
    """The rows that a layer multiplies with its weight."""
    if isinstance(layer, nn.Linear):
        return inputs
    patches = nn.functional.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    return patches.permute(0, 2, 1).reshape(-1, patches.shape[1])


def draw(rows, limit):
    return rows[torch.randperm(len(rows))[:limit]] if len(rows) > limit else rows.clone()


def collect(model, layers, images, clock):
    """Rows of each layer's inputs: a share of every batch, then 50,000 of all."""
    share = int(ROWS / (len(images) / BATCH)) + 1
    found = {name: [] for name in layers}

    def hook(name):
        def take(layer, inputs):
            clock.lap("forward")
            rows = rows_of(layer, inputs[0].detach())
            clock.lap("unfold")
            found[name].append(draw(rows, share))
            clock.lap("draw")

        return take

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in layers.items()]
    for batch in images.split(BATCH):
        model(batch)
        clock.lap("forward")
    for handle in handles:
        handle.remove()
    for name in layers:
        found[name] = draw(torch.cat(found[name]), ROWS)
    clock.lap("draw")
    return found


def projection(rows, alpha, clock):
    left, values, _ = torch.linalg.svd(rows.T, full_matrices=False)
    clock.lap("svd")
    energies = values**2 / (values**2).sum()
    scaled = left * (alpha * energies / ((alpha - 1) * energies + 1)).sqrt()
    return scaled @ scaled.T


def reference(model, layers, images, alpha):
    """New weights of the layers, and the seconds of each step, in all and of each layer."""
    clock, weights, each = Clock(), {}, {}
    rows = collect(model, layers, images, clock)
    for name, layer in layers.items():
        before = dict(clock.seconds)
        matrix = rows.pop(name)
        weight = layer.weight.detach()
        weights[name] = (weight.flatten(1) @ projection(matrix, alpha, clock)).view_as(weight)
        clock.lap("project")
        svd = clock.seconds["svd"] - before.get("svd", 0.0)
        each[name] = {"rows": len(matrix), "dim": matrix.shape[1], "svd": svd}
        print(f"    {name:24} {len(matrix):6} rows of {matrix.shape[1]:4}   SVD {svd:7.2f} s", flush=True)
    return weights, {step: clock.seconds[step] for step in STEPS}, each


def export(model, path):
    example, batch = (torch.zeros(2, 3, SIZE, SIZE),), torch.export.Dim("batch")
    names = {"input_names": ["input"], "output_names": ["logits"], "external_data": False}
    torch.onnx.export(model, example, path, dynamo=True, dynamic_shapes=({0: batch},), verbose=False, **names)


def weights_of(path):
    tensors = onnx.load(path).graph.initializer
    return {tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in tensors}


def tool(binary, folder, args, include):
    out = folder / "new.onnx"
    command = [binary, folder / "model.onnx", out, "--data", f"npz:{folder}/trusted.npz"]
    command += ["--val", f"npz:{folder}/val.npz", "--trusted-ids", folder / "ids.txt", "--max-rows", "all"]
    command += ["--alpha", str(args.alpha), "--threads", str(args.threads), "--force", "--quiet"]
    for name in include:
        command += ["--include", f"^{re.escape(name)}$"]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return weights_of(out), json.loads(out.with_suffix(".report.json").read_text())["seconds"]


def scales(original, exported):
    """What exporting has multiplied each output's weights with: BatchNorm becomes part of them."""
    original, exported = original.flatten(1).double(), exported.flatten(1).double()
    scale = (original * exported).sum(1) / (original**2).sum(1)
    assert torch.allclose(scale[:, None] * original, exported, rtol=1e-3, atol=1e-6), "the exporter reordered weights"
    return scale


def difference(theirs, ours, scale):
    theirs, ours = scale[:, None] * theirs.flatten(1).double(), ours.flatten(1).double()
    return float((theirs - ours).norm() / ours.norm())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/onnx-sap")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--alpha", type=float, default=3000.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", default="", help="only layers whose name this regular expression finds")
    parser.add_argument("--json", type=Path, help="also write what was measured here")
    parser.add_argument("--keep", type=Path, help="leave the model, the data and the tool's report in this folder")
    parser.add_argument("--tool-only", action="store_true", help="run the tool alone, twice, and compare nothing")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    model = build()
    images, labels = samples(args.samples, seed=1)
    measure_norms(model, images[:200])
    model.eval()
    kinds = (nn.Conv2d, nn.Linear)
    every = {name: module for name, module in model.named_modules() if isinstance(module, kinds)}
    layers = {name: module for name, module in every.items() if re.search(args.layers, name)}
    coverage = f"{len(layers)} of {len(every)} layers, {args.samples} samples, {args.threads} threads"

    with tempfile.TemporaryDirectory() as folder:
        folder = args.keep or Path(folder)
        folder.mkdir(exist_ok=True)
        export(model, folder / "model.onnx")
        np.savez(folder / "trusted.npz", x=images.numpy(), y=labels.numpy())
        val, val_labels = samples(CLASSES, seed=2)
        np.savez(folder / "val.npz", x=val.numpy(), y=val_labels.numpy())
        (folder / "ids.txt").write_text("".join(f"{i}\n" for i in range(args.samples)))
        exported = weights_of(folder / "model.onnx")
        include = [f"{name}.weight" for name in layers] if args.layers else []

        loads = [os.getloadavg()[0]]
        _, first = tool(args.binary, folder, args, include)
        if args.tool_only:
            _, second = tool(args.binary, folder, args, include)
            for phase in PHASES:
                print(f"{phase:8} {first[phase]:8.2f} {second[phase]:8.2f} s, {coverage}")
            return
        print(f"the procedure, {coverage}", flush=True)
        theirs, steps, each = reference(model, layers, images, args.alpha)
        ours, second = tool(args.binary, folder, args, include)
        loads.append(os.getloadavg()[0])

    for name, layer in layers.items():
        scale = scales(layer.weight, exported[f"{name}.weight"])
        each[name]["difference"] = difference(theirs[name], ours[f"{name}.weight"], scale)
        each[name]["same_rows"] = each[name]["rows"] < ROWS
    phases = {phase: (first[phase] + second[phase]) / 2 for phase in PHASES}
    reference_total, tool_total = sum(steps.values()), sum(phases.values())

    print(f"\nseconds, {coverage}\n  the procedure                 this tool (two runs)")
    for at in range(max(len(STEPS), len(PHASES))):
        left = f"{STEPS[at]:8} {steps[STEPS[at]]:8.2f}" if at < len(STEPS) else ""
        phase = PHASES[at] if at < len(PHASES) else None
        right = f"{phase:8} {phases[phase]:8.2f}   ({first[phase]:.2f}, {second[phase]:.2f})" if phase else ""
        print(f"  {left:28}  {right}")
    print(f"  {'total':8} {reference_total:8.2f}             {'total':8} {tool_total:8.2f}")
    ratio = reference_total / tool_total
    print(f"  the tool is {ratio:.1f} x as fast (asked: {TARGET}); load average {loads[0]:.1f} before, {loads[1]:.1f} after")

    print("\nrelative difference of the new weights")
    worst = max((layer["difference"] for layer in each.values() if layer["same_rows"]), default=0.0)
    for name, layer in each.items():
        what = "the same rows" if layer["same_rows"] else f"{ROWS} rows drawn by the procedure, all by the tool"
        print(f"  {name:24} {layer['difference']:.1e}   {what}")
    print(f"  where both see the same rows: at most {worst:.1e}")
    assert worst < SAME, "the two do not compute the same"
    if args.json:
        found = {"coverage": coverage, "ratio": ratio, "target": TARGET, "procedure": steps, "tool": phases}
        found |= {"tool_runs": [first, second], "layers": each, "difference": worst, "load_average": loads}
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
