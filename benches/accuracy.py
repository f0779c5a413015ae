#!/usr/bin/env python3
"""How accurate corrected models are: networks that memorised wrong labels, before and after, against the published setting and
against the same network trained on the correctly labelled part alone.

    pip install -r benches/requirements.txt
    cargo build --release
    accuracy.py NETS [--set NAME --train N] [--arch lenet,mlp,resnet,vgg,vit] [--noise sym:0.25,…] [--seed 1,2,3] [--data DIR] [--device cuda] [--only train|measure]
    accuracy.py --table | --plot

Trains what is not in the folder NETS yet (`fixtures/oracle/train.py`, minutes a network, one thread each), corrects every network
with each of SETTINGS, and adds a line a network to RESULTS; a line that is there is not measured again. `--table` prints the
means and standard deviations over the seeds as docs/accuracy.md has them, `--plot` draws PLOT from them. Several processes may share
NETS: each takes what no other is at. `--set` only names what lies in --data, Fashion-MNIST by default; `benches/other_sets.py` makes others.
Every choice is made on noisy labels; clean ones are only counted.
"""

import argparse
import csv
import fcntl
import gzip
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "accuracy.csv"
PLOT = ROOT / "docs" / "accuracy.svg"
ARCHITECTURES = ["lenet", "mlp", "resnet", "vgg", "vit"]
NOISES = ["sym:0.1", "sym:0.25", "sym:0.4", "pair:0.25", "clean"]
SETTINGS = {
    "paper": ["--preset", "paper"],
    "standard": ["--preset", "standard"],
    "perturb": ["--preset", "standard", "--val", "perturb"],
    "elr": ["--method", "sap+elr"],
    "finetune": ["--method", "sap+finetune"],
    "best": ["--preset", "best"],
}
RECIPES = {"recipe": "standard"} | {f"{name}_recipe": name for name in ("perturb", "elr", "finetune", "best")}
COLUMNS = ["set", "arch", "noise", "seed", "original", *SETTINGS, "ceiling", *RECIPES]


def claimed(options, purpose):
    """The networks that were asked for, one after another: each is this process's own, for that purpose, until it asks for the next.
    Those that another process is at are left out."""
    options.nets.mkdir(parents=True, exist_ok=True)
    for seed, noise, arch in itertools.product(*(of.split(",") for of in (options.seed, options.noise, options.arch))):
        with (options.nets / f"{noise}-{seed}-{arch}-{purpose}.lock").open("w") as hold:
            try:
                fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield arch, noise, seed



def train(nets, arch, noise, seed, options):
    """The folder of a network and its data, trained if it is not there, and the network trained on the clean part."""
    folder = nets / f"{noise}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    script = [sys.executable, str(ROOT / "fixtures/oracle/train.py"), arch]
    settings = ["--noise", noise, "--seed", str(seed), "--train", str(options.train), "--device", options.device]
    settings += ["--data", options.data] if options.data else []
    for suffix, option in (("", []), ("-retrain", ["--clean-part"])):
        # Without noise the clean part is all of it.
        if noise == "clean" and option or (folder / f"fashion-{arch}{suffix}.onnx").exists():
            continue
        # Networks share the data of their folder, which another process may be reading: files come whole.
        with tempfile.TemporaryDirectory(dir=nets) as scratch:
            subprocess.run([*script, scratch, *settings, *option], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            for file in Path(scratch).iterdir():
                file.replace(folder / file.name)
    return folder


def correct(tool, model, folder, options):
    """The report of a run. Where nothing beats the original, that is what stays."""
    spec = f"fashion-mnist:{folder}"
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        held_out = [] if "--val" in options else ["--val", f"{spec}#val"]
        command = [tool, model, Path(scratch) / "out.onnx", "--data", spec, *held_out, "--test", f"{spec}#test"]
        done = subprocess.run([*map(str, command), "--report", str(report), "--quiet", *options], capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{model}: {done.stderr}")
        return json.loads(report.read_text())


def after(report):
    when = "before" if report["chosen"]["verdict"] == "not_better" else "after"
    return report[when]["test"]["accuracy"]


def recipe(report):
    chosen = report["chosen"]
    if chosen["verdict"] == "not_better":
        return "original"
    # What goes on from the original has no strength.
    strength = f"{chosen['alpha']:.3g}{' recalibrated' if chosen['recalibrated'] else ''} " if "alpha" in chosen else ""
    tuned = f", {chosen['tuning']}" if "tuning" in chosen else ""
    return f"{strength}{chosen['head']}{tuned}"


def idx_values(folder, name):
    """The bytes of an IDX .gz file, without their shape."""
    import numpy

    data = gzip.open(folder / f"{name}-ubyte.gz").read()
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3])


def accuracy(model, folder):
    """That of a model on the test images."""
    import numpy
    import onnxruntime

    images = idx_values(folder, "t10k-images-idx3").astype(numpy.float32)
    images = ((images / 255 - 0.2860) / 0.3530).reshape(-1, 1, 28, 28)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"input": images[at : at + 500]})[0].argmax(1) for at in range(0, len(images), 500)]
    return float((numpy.concatenate(parts) == idx_values(folder, "t10k-labels-idx1")).mean())


def measure(tool, folder, name, arch, noise, seed):
    model = folder / f"fashion-{arch}.onnx"
    reports = {name: correct(tool, model, folder, options) for name, options in SETTINGS.items()}
    ceiling = folder / f"fashion-{arch}-retrain.onnx"
    line = {
        "set": name,
        "arch": arch,
        "noise": noise,
        "seed": seed,
        "original": reports["standard"]["before"]["test"]["accuracy"],
        "ceiling": accuracy(ceiling, folder) if ceiling.exists() else reports["standard"]["before"]["test"]["accuracy"],
    }
    recipes = {column: recipe(reports[name]) for column, name in RECIPES.items()}
    return line | recipes | {name: after(report) for name, report in reports.items()}


def read_results():
    if not RESULTS.exists():
        return []
    with RESULTS.open() as file:
        return list(csv.DictReader(file))


def add(line):
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(line)


def points(values, seeds):
    """In per cent; of so many seeds with their standard deviation, and with their number where some were not measured."""
    values = [100 * value for value in values]
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.1f}" if seeds and len(values) > 1 else ""
    some = f" ({len(values)})" if seeds and len(values) < seeds else ""
    return f"{statistics.mean(values):.1f}{spread}{some}"


def closed(lines, name):
    """How much of the way from the original to the ceiling a setting goes, on the networks that were measured with it."""
    lines = [line for line in lines if line[name]]
    mean = {of: statistics.mean(float(line[of]) for line in lines) if lines else 0 for of in ("original", name, "ceiling")}
    gap = mean["ceiling"] - mean["original"]
    return f"{100 * (mean[name] - mean['original']) / gap:.0f} %" if gap > 0.005 else ""


def table():
    lines = read_results()
    names = ["original", *SETTINGS, "ceiling"]
    closing = ["standard", "best"]
    print("| labels | network | seeds | " + " | ".join(names + [f"{name} closes" for name in closing]) + " |")
    print("| --- | --- | --- |" + " --- |" * (len(names) + len(closing)))
    sets = dict.fromkeys(line["set"] for line in lines)
    for name, noise in [(name, noise) for name in sets for noise in NOISES]:
        of_noise = [line for line in lines if (line["set"], line["noise"]) == (name, noise)]
        groups = [(arch, [line for line in of_noise if line["arch"] == arch]) for arch in ARCHITECTURES]
        for arch, group in [*groups, ("**all**", of_noise)]:
            if group:
                # What is empty was not measured.
                columns = [[float(line[name]) for line in group if line[name]] for name in names]
                # Averages over networks are of all of them or they cannot be compared.
                shown = [column if arch != "**all**" or len(column) == len(group) else [] for column in columns]
                cells = [points(column, 0 if arch == "**all**" else len(group)) for column in shown]
                cells += [closed(group, name) for name in closing]
                print(f"| {name}, {noise} | {arch} | {len(group)} | " + " | ".join(cells) + " |")


def plot():
    """The means over networks and seeds on Fashion-MNIST, a line of points for each kind of labels."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "accuracy", "font.size": 10})
    import matplotlib.pyplot as pyplot

    lines = [line for line in read_results() if line["set"] == "fashion-mnist"]
    # Readable on light and on dark pages, and where colours cannot be told apart.
    marks = {"original": ("#d1495b", "o"), "paper": ("#edae49", "s"), "standard": ("#00798c", "D"), "best": ("#5b2a86", "^"), "ceiling": ("#8d96a3", "|")}
    figure, axes = pyplot.subplots(figsize=(7.2, 2.6), layout="constrained")
    figure.patch.set_facecolor("white")
    named = set()
    for row, noise in enumerate(reversed(NOISES)):
        of_noise = [line for line in lines if line["noise"] == noise]
        measured = {name: [100 * float(line[name]) for line in of_noise if line[name]] for name in marks}
        # A mean over some of the networks would be one of others.
        mean = {name: statistics.mean(of) for name, of in measured.items() if len(of) == len(of_noise)}
        axes.plot([min(mean.values()), max(mean.values())], [row, row], color="#c8ccd2", zorder=1)
        for name in mean:
            colour, mark = marks[name]
            size = 160 if mark == "|" else 45
            axes.scatter(mean[name], row, c=colour, marker=mark, s=size, zorder=2, label=None if name in named else name)
            named.add(name)
    axes.set_yticks(range(len(NOISES)), list(reversed(NOISES)))
    axes.set_xlabel("test accuracy, %, mean over networks and seeds")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(ncols=5, frameon=False, loc="lower center", bbox_to_anchor=(0.45, 1.0))
    figure.savefig(PLOT, metadata={"Date": None})


def work(options, arch, noise, seed):
    """Trains and measures a network, as far as it has not been done yet."""
    folder = options.nets / f"{noise}-{seed}"
    if options.only != "measure":
        folder = train(options.nets, arch, noise, seed, options)
    key = {"set": options.set, "arch": arch, "noise": noise, "seed": seed}
    known = any(key.items() <= line.items() for line in read_results())
    if options.only != "train" and not known and (folder / f"fashion-{arch}.onnx").exists():
        line = measure(options.tool, folder, options.set, arch, noise, seed)
        add(line)
        print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="?", type=Path)
    parser.add_argument("--arch", default=",".join(ARCHITECTURES))
    parser.add_argument("--noise", default=",".join(NOISES))
    parser.add_argument("--seed", default="1,2,3")
    parser.add_argument("--set", default="fashion-mnist", help="what the data is called")
    parser.add_argument("--train", type=int, default=10000, help="images that networks are trained on")
    parser.add_argument("--data", help="four IDX .gz files, those of Fashion-MNIST by default")
    parser.add_argument("--device", default="cpu", help="what networks are trained on")
    parser.add_argument("--tool", default=ROOT / "target/release/onnx-sap")
    parser.add_argument("--only", choices=["train", "measure"])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--plot", action="store_true")
    options = parser.parse_args()
    if options.table:
        return table()
    if options.plot:
        return plot()
    if options.nets is None:
        parser.error("name the folder of the networks")
    for network in claimed(options, "accuracy"):
        work(options, *network)


if __name__ == "__main__":
    main()
