#!/usr/bin/env python3
"""How well `onnx-sap detect` finds wrong labels, where the truth is known: the reference models, as they are and corrected, next to
cleanlab on the same probabilities of the same training samples.

    pip install -r benches/requirements.txt
    cargo build --release
    detection.py                 prints the table of docs/detection.md

AUROC: of the loss, and of the quality score of cleanlab's rank that does best. Precision and recall: of `is_label_issue`, and of
cleanlab's find_label_issues with its defaults.
"""

import csv
import gzip
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "fixtures" / "fashion-noisy"
TOOL = ROOT / "target" / "release" / "onnx-sap"
MODELS = ["mlp", "lenet", "resnet", "vit"]
QUALITIES = ["self_confidence", "normalized_margin", "confidence_weighted_entropy"]


def values(name):
    data = gzip.open(DATA / f"{name}-ubyte.gz").read()
    shape = [int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def probabilities(model, images):
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"input": images[at : at + 500]})[0] for at in range(0, len(images), 500)]
    logits = np.concatenate(parts).astype(np.float64)
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def detected(model, scratch):
    """The loss and the flag of each sample, in the set's order."""
    table = scratch / "detected.csv"
    command = [TOOL, "detect", model, "--data", f"fashion-mnist:{DATA}", "-o", table, "--quiet"]
    subprocess.run([*map(str, command)], check=True)
    rows = sorted(csv.DictReader(table.open()), key=lambda row: int(row["path"]))
    return np.array([float(row["loss"]) for row in rows]), np.array([row["is_label_issue"] == "true" for row in rows])


def rates(flags, wrong):
    hits = (flags & wrong).sum()
    return [f"{hits / flags.sum():.2f}" if flags.any() else "", f"{hits / wrong.sum():.2f}"]


def line(name, model, images, labels, wrong, scratch):
    loss, flags = detected(model, scratch)
    theirs = probabilities(model, images)
    qualities = [get_label_quality_scores(labels, theirs, method=method) for method in QUALITIES]
    best = max(roc_auc_score(wrong, -quality) for quality in qualities)
    found = find_label_issues(labels, theirs)
    ours = [f"{roc_auc_score(wrong, loss):.3f}", *rates(flags, wrong)]
    print("| " + " | ".join([name, *ours, f"{best:.3f}", *rates(found, wrong)]) + " |", flush=True)


def main():
    images = ((values("train-images-idx3").astype(np.float32) / 255 - 0.2860) / 0.3530)[:, None]
    labels = values("train-labels-idx1").astype(int)
    wrong = labels != values("train-clean-labels-idx1")
    print("| model | AUROC | precision | recall | cleanlab: AUROC | precision | recall |")
    print("| --- |" + " --- |" * 6)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for name in MODELS:
            original, corrected = ROOT / "models" / f"fashion-{name}.onnx", scratch / f"{name}.onnx"
            subprocess.run([str(TOOL), str(original), str(corrected), "--data", f"fashion-mnist:{DATA}", "--quiet"], check=True)
            line(f"{name}, original", original, images, labels, wrong, scratch)
            line(f"{name}, corrected", corrected, images, labels, wrong, scratch)


if __name__ == "__main__":
    main()
