"""A step of training beside torch's: training.py MODEL.onnx:BATCH[:STEPS] … [--threads 2] [--rounds 3]

In turn, in one run: `cargo bench --bench training` for the tool (built before, so that no compiler runs beside it), and torch's autograd
and SGD over the same graph, node by node (fixtures/autodiff/torch_graph.py). Each in a process of its own; the median step of
the best round, and the peak of resident memory above what the process had before the model was read.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parent.parent


def resident(what):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


def torch_step(path, batch, steps, threads):
    sys.path.insert(0, str(ROOT / "fixtures/autodiff"))
    import torch
    from torch_graph import Graph

    torch.set_num_threads(threads)
    torch.nn.functional.conv2d(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 3, 3))
    before = resident("VmRSS:")
    graph = Graph(path, torch.float32)
    learnt = [value.requires_grad_(True) for value in graph.stored.values() if value.is_floating_point() and value.ndim]
    port = next(port for port in graph.model.graph.input if port.name not in graph.stored)
    extents = [batch] + [dim.dim_value for dim in port.type.tensor_type.shape.dim[1:]]
    graph.model.graph.ClearField("initializer")
    x, labels = torch.rand(extents) * 2 - 1, torch.arange(batch) % 10
    scores = graph.model.graph.output[0].name
    optimizer = torch.optim.SGD(learnt, lr=1e-3, momentum=0.9, weight_decay=1e-4)
    times = []
    for _ in range(3 + steps):
        started = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(graph({port.name: x})[scores], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - started)
    peak = (resident("VmHWM:") - before) // 1024
    print(json.dumps({"step_ms": statistics.median(times[3:]) * 1e3, "peak_mb": peak}))


def last_line(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch:
        path, batch, steps = args.models
        return torch_step(path, int(batch), int(steps), args.threads)
    print(f"{args.threads} threads, the best of {args.rounds} rounds")
    print("| model | batch | tool, ms | torch, ms | ratio | tool, MB | torch, MB | ratio |\n|" + " --- |" * 8, flush=True)
    for model in args.models:
        path, batch, *steps = model.split(":")
        steps = steps[0] if steps else "30"
        path = str(pathlib.Path(path).resolve())
        ours, torchs = [], []
        for _ in range(args.rounds):
            ours.append(last_line(["cargo", "bench", "--bench", "training", "--", path, batch, steps, str(args.threads)]))
            script = [sys.executable, __file__, path, batch, steps, "--torch", "--threads", str(args.threads)]
            torchs.append(last_line(script))
        ms = [min(run["step_ms"] for run in runs) for runs in (ours, torchs)]
        mb = [min(run["peak_mb"] for run in runs) for runs in (ours, torchs)]
        name = pathlib.Path(path).stem
        line = f"| {name} | {batch} | {ms[0]:.1f} | {ms[1]:.1f} | {ms[0] / ms[1]:.2f} "
        print(line + f"| {mb[0]} | {mb[1]} | {mb[0] / max(mb[1], 1):.2f} |", flush=True)


main()
