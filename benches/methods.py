#!/usr/bin/env python3
"""What every method makes of networks that memorised wrong labels: `onnx-sap compare` on the networks of `accuracy.py`.

    pip install -r benches/requirements.txt
    cargo build --release
    methods.py NETS [--set NAME] [--arch lenet,mlp,resnet,vgg,vit] [--noise sym:0.25,…] [--seed 1,2,3]
    methods.py --table

Compares all methods on every network that is in the folder NETS (`accuracy.py NETS --only train` puts them there), and once more those that
forget samples, with the samples that `onnx-sap detect` finds with the model that SAP has corrected: the networks themselves believe their
labels, and such methods find nothing to forget in them. Adds a line for each method to RESULTS; a network that is there, or that another
process is at, is not measured again. `--table` prints means over networks, and points gained by noise, as docs/accuracy.md has them. Every
choice is made on noisy labels; clean ones are only counted.
"""

import argparse
import csv
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

from accuracy import ARCHITECTURES, NOISES, ROOT, claimed, read_results

RESULTS = ROOT / "docs" / "methods.csv"
KEY = ["set", "arch", "noise", "seed"]
FIGURES = ["test", "forget", "retain", "forward", "backward"]
COLUMNS = [*KEY, "method", *FIGURES]
FORGETTING = ["influence", "scrub", "ssd"]


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command[1]} {command[2]}: {done.stderr}")


def detected(tool, model, data, scratch):
    """The file of the samples that a corrected model takes for wrong; nothing where SAP has nothing to correct."""
    corrected, issues, ids = (scratch / name for name in ("sap.onnx", "issues.csv", "ids.txt"))
    run(tool, model, corrected, *data, "--quiet")
    if not corrected.exists():
        return None
    run(tool, "detect", corrected, *data[:2], "-o", issues, "--quiet")
    with issues.open() as file:
        found = [row["path"] for row in csv.DictReader(file) if row["is_label_issue"] == "true"]
    ids.write_text("\n".join(found))
    return ids if found else None


def compare(tool, model, data, test, scratch, *options):
    output = scratch / "compare.json"
    run(tool, "compare", model, *data, "--test", test, "-o", output, "--quiet", *options)
    return json.loads(output.read_text())


def lines(report, suffix=""):
    """A line for each method; a method that this network cannot have has none."""
    for method in report["methods"]:
        if method.get("mean"):
            figures = {name: method["mean"][name] for name in FIGURES}
            yield {"method": method["method"] + suffix, **{name: of and of["mean"] for name, of in figures.items()}}


def measure(tool, folder, arch):
    spec, model = f"fashion-mnist:{folder}", folder / f"fashion-{arch}.onnx"
    data, test = ["--data", spec, "--val", f"{spec}#val"], f"{spec}#test"
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        report = compare(tool, model, data, test, scratch)
        original = {name: report["original"].get(name, {}) for name in ("test", "forget", "retain")}
        yield {"method": "original", **{name: of and of["accuracy"] for name, of in original.items()}}
        yield from lines(report)
        if ids := detected(tool, model, data, scratch):
            given = ["--methods", ",".join(FORGETTING), "--forget-ids", ids]
            yield from lines(compare(tool, model, data, test, scratch, *given), " (detected)")


def known():
    if not RESULTS.exists():
        return []
    with RESULTS.open() as file:
        return list(csv.DictReader(file))


def add(key, found):
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        for line in found:
            shown = {name: round(value, 4) if isinstance(value, float) else value for name, value in line.items()}
            writer.writerow(key | shown)


def grouped(found):
    """The lines of a network's kind, by method and seed: {(set, noise, arch): {method: {seed: line}}}, kinds in order."""
    groups = {}
    for line in found:
        groups.setdefault((line["set"], line["noise"], line["arch"]), {}).setdefault(line["method"], {})[line["seed"]] = line
    return dict(sorted(groups.items(), key=lambda group: (NOISES.index(group[0][1]), ARCHITECTURES.index(group[0][2]))))


def table():
    """For each kind of noise a row for each method: the mean test accuracy on each kind of network, and how much of the way to the ceiling."""
    ceilings = {tuple(line[name] for name in KEY): float(line["ceiling"]) for line in read_results()}
    found = known()
    methods = list(dict.fromkeys(line["method"] for line in found))
    groups = grouped(found)
    for name, noise in dict.fromkeys(group[:2] for group in groups):
        columns = [group for group in groups if group[:2] == (name, noise)]
        print(f"\n{name}, {noise}\n")
        print("| method | " + " | ".join(f"{group[2]} ({len(groups[group]['original'])})" for group in columns) + " | closes | passes |")
        print("| --- |" + " --- |" * (len(columns) + 2))
        for method in methods:
            cells, starts, ends, tops, passes = [], [], [], [], []
            for group in columns:
                rows = groups[group].get(method, {})
                values = [100 * float(row["test"]) for row in rows.values()]
                spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
                cells.append(f"{statistics.mean(values):.1f}{spread}" if values else "")
                for seed, row in rows.items():
                    starts.append(float(groups[group]["original"][seed]["test"]))
                    ends.append(float(row["test"]))
                    tops.append(ceilings[group[0], group[2], group[1], seed])
                    passes.append(sum(float(row[name]) for name in ("forward", "backward") if row[name]))
            gap = sum(tops) - sum(starts)
            share = round(100 * (sum(ends) - sum(starts)) / gap) if ends and gap > 0.005 * len(ends) else None
            closes = f"{share} %" if share is not None and method != "original" else ""
            effort = f"{statistics.mean(passes):.0f}" if any(passes) else ""
            print(f"| {method} | " + " | ".join(cells) + f" | {closes} | {effort} |")
    for name in dict.fromkeys(group[0] for group in groups):
        gains(name, {group[1:]: lines for group, lines in groups.items() if group[0] == name}, methods)


def gains(name, groups, methods):
    """Points of test accuracy over the original for each kind of noise: the mean over its networks, and the least."""
    noises = list(dict.fromkeys(noise for noise, _ in groups))
    networks = {noise: sum(len(lines["original"]) for group, lines in groups.items() if group[0] == noise) for noise in noises}
    print(f"\n{name}, points over the original: mean, and least\n")
    print("| method | " + " | ".join(f"{noise} ({networks[noise]})" for noise in noises) + " |")
    print("| --- |" + " --- |" * len(noises))
    for method in methods[1:]:
        cells = []
        for noise in noises:
            of_noise = [lines for group, lines in groups.items() if group[0] == noise]
            pairs = [(row, lines["original"][seed]) for lines in of_noise for seed, row in lines.get(method, {}).items()]
            gained = [100 * (float(row["test"]) - float(original["test"])) for row, original in pairs]
            # Of what rounds to nothing the sign says nothing.
            shown = [f"{round(value, 1) or 0.0:+.1f}" for value in (statistics.mean(gained), min(gained))] if gained else []
            cells.append(", ".join(shown) if len(gained) == networks[noise] else "")
        print(f"| {method} | " + " | ".join(cells) + " |")


def work(options, arch, noise, seed):
    """Compares the methods on a network that is there, if that has not been done yet."""
    folder = options.nets / f"{noise}-{seed}"
    key = {"set": options.set, "arch": arch, "noise": noise, "seed": seed}
    measured = any(key.items() <= line.items() for line in known())
    if (folder / f"fashion-{arch}.onnx").exists() and not measured:
        add(key, list(measure(options.tool, folder, arch)))
        print(key, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="?", type=Path)
    parser.add_argument("--arch", default=",".join(ARCHITECTURES))
    parser.add_argument("--noise", default=",".join(NOISES))
    parser.add_argument("--seed", default="1,2,3")
    parser.add_argument("--set", default="fashion-mnist", help="what the data is called")
    parser.add_argument("--tool", default=ROOT / "target/release/onnx-sap")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        return table()
    if options.nets is None:
        parser.error("name the folder of the networks")
    for network in claimed(options, "methods"):
        work(options, *network)


if __name__ == "__main__":
    main()
