#!/usr/bin/env python3
r"""Measure every figure of docs/performance.md in one run, and print it beside what was asked for.

    pip install -r benches/requirements.txt
    python fixtures/large_models.py MODELS                  # ResNet-50, ViT-B/16 and a few images, 450 MB
    python benches/figures.py MODELS [--only NAME ...] [--json FILE]

It builds what it needs with cargo. A figure is a ratio of two times that were measured in turns, where it can be; the load
average beside it tells whether the machine was quiet. The whole takes about half an hour on two cores, most of it the
reference procedure. `--only` runs some parts, by the names below; one that fails is reported, and the others go on.

    machine    Gflop/s of matrix products, GB/s of memory                        benches/machine.rs
    resnet50   moments against the forward pass, ResNet-50 at 224²               benches/moments.rs
    vit        the same, ViT-B/16                                                benches/moments.rs
    solve      projections of ResNet-50 against bare Cholesky; nine α            benches/solve.rs
    blas       the same factorisations by OpenBLAS and MKL                       benches/solve_reference.py
    reference  the reference procedure in torch, ResNet-18                       benches/reference_procedure.py
    memory     peak resident set of the whole command, ResNet-50
    overhead   the whole command beyond inference and moments, ViT-B/16
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = ROOT / "target/release/onnx-sap"
# Phases of the report that are neither running the model nor linear algebra.
OVERHEAD = ("load", "patch", "write", "verify")
ROUNDS = 3
# Of 96 samples, rows are a tenth of those of 1,000, and float32 does for a third of the α.
ALPHA = 300


class Figures:
    """What was measured, as it comes."""

    def __init__(self):
        self.rows = []

    def add(self, what, value, unit, asked=None, at_least=False, note=""):
        row = {"figure": what, "value": value, "unit": unit, "asked": asked, "note": note}
        if asked is not None:
            row["reached"] = value >= asked if at_least else value <= asked
        self.rows.append(row | {"at_least": at_least, "load_average": os.getloadavg()[0]})
        print(line(self.rows[-1]), flush=True)


def line(row):
    asked = ""
    if row["asked"] is not None:
        relation, verdict = "≥" if row["at_least"] else "≤", "reached" if row["reached"] else "NOT reached"
        asked = f"{relation} {row['asked']:g}: {verdict}"
    return f"{row['figure']:58} {row['value']:9.2f} {row['unit']:9} {asked:20} load {row['load_average']:.1f}  {row['note']}"


def last_line(command):
    """The JSON that a benchmark ends with."""
    print(f"$ {' '.join(str(part) for part in command)}", flush=True)
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def bench(name, *arguments):
    return last_line(["cargo", "bench", "--quiet", "--bench", name, "--", *arguments])


def machine(found, args):
    can = bench("machine")
    found.add("float64 matrix products", can["float64_gflops"], "Gflop/s", note=f"{can['threads']} threads")
    found.add("float32 matrix products", can["float32_gflops"], "Gflop/s")
    found.add("memory, read", can["read_gbs"], "GB/s")
    found.add("memory, copied", can["copy_gbs"], "GB/s")


def moments(found, model, name, samples, asked):
    measured = bench("moments", model.resolve(), samples, ROUNDS, ALPHA)
    note = f"median of {ROUNDS}, {samples} samples"
    found.add(f"{name}: moments / forward, float64", measured["float64"], "x", asked, note=note)
    found.add(f"{name}: the same, float32 where it does for α = {ALPHA}", measured["sufficient"], "x", asked, note=note)


def resnet50(found, args):
    moments(found, args.models / "resnet50.onnx", "ResNet-50", 96, 4)


def vit(found, args):
    moments(found, args.models / "vit_b_16.onnx", "ViT-B/16", 48, 2.5)


def solve(found, args):
    measured = bench("solve", ROUNDS)
    ratio = [one / bare for one, bare in zip(measured["one"], measured["bare"])]
    nine = [nine / one for nine, one in zip(measured["nine"], measured["one"])]
    one = statistics.median(measured["one"])
    rate, peak = measured["gflop"] / one, max(measured["peak_gflops"])
    found.add("ResNet-50, one α", one, "s", note=f"{rate:.1f} Gflop/s where products reach {peak:.1f}")
    found.add("one α / bare Cholesky and triangular solves", statistics.median(ratio), "x")
    found.add("nine α / one", statistics.median(nine), "x", 3)


def blas(found, args):
    measured = last_line([sys.executable, "benches/solve_reference.py", os.cpu_count(), ROUNDS])
    found.add("the same factorisations and solves, OpenBLAS", measured["openblas"], "s")
    found.add("the same factorisations and solves, MKL", measured["mkl"], "s")


def reference(found, args):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "reference.json")
        command = [sys.executable, "benches/reference_procedure.py", "--json", out, "--threads", os.cpu_count()]
        subprocess.run([str(part) for part in command], cwd=ROOT, check=True)
        measured = json.loads(out.read_text())
    note = f"{sum(measured['procedure'].values()):.0f} s against {sum(measured['tool'].values()):.1f} s; {measured['coverage']}"
    found.add("the reference procedure / this tool, ResNet-18", measured["ratio"], "x", measured["target"], True, note)
    found.add("new weights, where both see the same rows", measured["difference"] * 1e6, "1e-6", note="relative difference")


def command(model, images, out, trusted):
    """The whole command on a few images, one α: what it takes beyond them is what is asked."""
    given = [BINARY, model, out, "--data", f"folder:{images / 'train'}", "--val", f"folder:{images / 'val'}", "--size", 224]
    return [str(part) for part in given + ["--trusted", trusted, "--alpha", 1000, "--force", "--quiet"]]


def whole(args, name, trusted):
    """Runs the whole command. Returns its report, its seconds, and its largest resident set in GB."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "new.onnx")
        begun = time.perf_counter()
        child = subprocess.Popen(
            command(args.models / name, args.models / "images", out, trusted), stdout=subprocess.DEVNULL
        )
        # Of this child alone: getrusage would give the largest of all there were.
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
        if os.waitstatus_to_exitcode(status) != 0:
            raise RuntimeError("the command failed")
        return json.loads(out.with_suffix(".report.json").read_text()), seconds, usage.ru_maxrss * 1024 / 1e9


def build():
    subprocess.run(["cargo", "build", "--quiet", "--release"], cwd=ROOT, check=True)


def memory(found, args):
    build()
    peaks = [whole(args, "resnet50.onnx", 40)[2] for _ in range(ROUNDS)]
    found.add("ResNet-50, the whole command: peak resident set", max(peaks), "GB", 3, note="40 trusted samples")


def overhead(found, args):
    build()
    runs = [whole(args, "vit_b_16.onnx", 10) for _ in range(ROUNDS)]
    beyond = [sum(report["seconds"][phase] for phase in OVERHEAD) for report, _, _ in runs]
    for phase in OVERHEAD:
        found.add(f"  {phase}", statistics.median(report["seconds"][phase] for report, _, _ in runs), "s")
    # Ending the process, moving the files and whatever else no phase counts.
    uncounted = statistics.median(seconds - sum(report["seconds"].values()) for report, seconds, _ in runs)
    found.add("  in no phase", uncounted, "s")
    rounds = ", ".join(f"{seconds:.2f}" for seconds in beyond)
    note = f"10 trusted samples; rounds {rounds}"
    found.add("ViT-B/16 beyond inference and moments", statistics.median(beyond), "s", 3, note=note)


PARTS = (machine, resnet50, vit, solve, blas, reference, memory, overhead)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="the folder that fixtures/large_models.py wrote")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[part.__name__ for part in PARTS])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    args.models = args.models.resolve()

    found, failed = Figures(), []
    for part in PARTS:
        if args.only and part.__name__ not in args.only:
            continue
        if part is reference:
            build()
        try:
            part(found, args)
        except (subprocess.CalledProcessError, RuntimeError, OSError) as error:
            failed.append(f"{part.__name__}: {error}")
            print(failed[-1], flush=True)
    print("\n" + "\n".join([line(row) for row in found.rows] + failed))
    if args.json:
        args.json.write_text(json.dumps(found.rows, indent=1, ensure_ascii=False) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
