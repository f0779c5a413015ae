#!/usr/bin/env python3
r"""Make sets of the sizes that the benchmarks are about. Needs numpy and pillow; photographs also scikit-learn and scikit-image.

    large_sets.py photographs OUTDIR [--count 1000] [--classes 10] [--quality 90]
        A list OUTDIR/list.csv and JPEG files of about 500 x 375 pixels: crops of the sample photographs of scikit-learn and
        scikit-image.
    large_sets.py manifest OUTDIR [--count 1000000]
        The layout in which Clothing1M was released, with that many keys in noisy_train_key_list.txt. The images are 28 x 28
        and 1,000 in number: a thousand folders are links to the one that holds them, so that every key is a path of its own.
    large_sets.py arrays OUTFILE [--count 100000]
        An npz of uint8 images of 28 x 28.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

SEED = 0


def photographs(out, count, classes, quality):
    from skimage import data
    from sklearn.datasets import load_sample_images

    sources = [np.asarray(image) for image in load_sample_images().images]
    sources += [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    rng = np.random.default_rng(SEED)
    images = Path(out, "images")
    images.mkdir(parents=True)
    lines = ["path,label"]
    for index in range(count):
        source = Image.fromarray(sources[index % len(sources)])
        width, height = source.size
        share = rng.uniform(0.7, 1.0)
        left, top = rng.uniform(0, 1 - share) * width, rng.uniform(0, 1 - share) * height
        box = (left, top, left + share * width, top + share * height)
        size = (500, 375) if width >= height else (375, 500)
        crop = source.resize(size, Image.Resampling.BICUBIC, box)
        crop.save(images / f"{index:06}.jpg", quality=quality)
        lines.append(f"images/{index:06}.jpg,{rng.integers(classes)}")
    Path(out, "list.csv").write_text("\n".join(lines) + "\n")


def manifest(out, count):
    rng = np.random.default_rng(SEED)
    base = Path(out, "images", "0", "000")
    base.mkdir(parents=True)
    for index in range(1000):
        Image.fromarray(rng.integers(0, 256, (28, 28), dtype=np.uint8)).save(base / f"{index:03}.png")
    folders = -(-count // 1000)
    for folder in range(1, folders):
        (base.parent / f"{folder:03}").symlink_to("000", target_is_directory=True)
    keys = [f"images/0/{index // 1000:03}/{index % 1000:03}.png" for index in range(count)]
    labels = rng.integers(0, 10, count)
    Path(out, "noisy_train_key_list.txt").write_text("\n".join(keys) + "\n")
    Path(out, "noisy_label_kv.txt").write_text("".join(f"{key} {label}\n" for key, label in zip(keys, labels)))


def arrays(out, count):
    rng = np.random.default_rng(SEED)
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    np.savez(out, x=images, y=rng.integers(0, 10, count))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, count in ("photographs", 1000), ("manifest", 1_000_000), ("arrays", 100_000):
        command = commands.add_parser(name)
        command.add_argument("out")
        command.add_argument("--count", type=int, default=count)
        if name == "photographs":
            command.add_argument("--classes", type=int, default=10)
            command.add_argument("--quality", type=int, default=90)
    given = vars(parser.parse_args())
    {"photographs": photographs, "manifest": manifest, "arrays": arrays}[given.pop("command")](**given)


if __name__ == "__main__":
    main()
