#!/usr/bin/env python3
"""What a correction does where nothing can be compared: the networks of accuracy.py given flat vectors, which are no images, and
no validation data.

    accuracy.py NETS --only train
    unjudged.py NETS [--seed 1,2]          prints the table of docs/accuracy.md
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy
import onnx
from accuracy import ARCHITECTURES, NOISES, ROOT, idx_values

TOOL = ROOT / "target/release/onnx-sap"


def flat_samples(folder, part, path):
    images = (idx_values(folder, f"{part}-images-idx3").astype(numpy.float32) / 255 - 0.2860) / 0.3530
    numpy.savez(path, x=images.reshape(-1, 784), y=idx_values(folder, f"{part}-labels-idx1").astype(numpy.int64))
    return f"npz:{path}"


def flat_model(model, path):
    """The same network behind a Reshape of vectors."""
    model = onnx.load(model)
    graph = model.graph
    graph.initializer.append(onnx.helper.make_tensor("image_shape", onnx.TensorProto.INT64, [4], [-1, 1, 28, 28]))
    graph.node.insert(0, onnx.helper.make_node("Reshape", ["flat", "image_shape"], [graph.input[0].name]))
    del graph.input[:]
    graph.input.append(onnx.helper.make_tensor_value_info("flat", onnx.TensorProto.FLOAT, ["batch", 784]))
    onnx.save(model, path)
    return path


def gain(model, train, test, scratch):
    """In points of test accuracy."""
    report = scratch / "report.json"
    command = [TOOL, model, scratch / "out.onnx", "--data", train, "--test", test, "--report", report, "--force", "--quiet"]
    subprocess.run([*map(str, command)], check=True)
    report = json.loads(report.read_text())
    return 100 * (report["after"]["test"]["accuracy"] - report["before"]["test"]["accuracy"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", type=Path)
    parser.add_argument("--seed", default="1,2")
    options = parser.parse_args()
    print("| labels | networks | mean | least | most |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for noise in NOISES:
            gains = []
            for seed in options.seed.split(","):
                data = options.nets / f"{noise}-{seed}"
                train, test = (flat_samples(data, part, scratch / f"{part}.npz") for part in ("train", "t10k"))
                for arch in ARCHITECTURES:
                    model = flat_model(data / f"fashion-{arch}.onnx", scratch / "flat.onnx")
                    gains.append(gain(model, train, test, scratch))
            cells = [f"{value:+.1f}" for value in (statistics.mean(gains), min(gains), max(gains))]
            print(f"| {noise} | {len(gains)} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
