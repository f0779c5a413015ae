"""The factorisations and solves of benches/solve.rs with OpenBLAS (scipy) and MKL (torch), in float64.

    python benches/solve_reference.py [THREADS] [ROUNDS]

The last line is JSON: the seconds of all layers.
"""

import json
import os
import sys
import time

THREADS = sys.argv[1] if len(sys.argv) > 1 else "2"
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = THREADS

import numpy as np  # noqa: E402
import scipy.linalg  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(int(THREADS))

# d, outputs and number of the layers of ResNet-50.
LAYERS = [
    (147, 64, 1), (64, 64, 1), (576, 64, 3), (64, 256, 4), (256, 64, 2), (256, 128, 1), (1152, 128, 4),
    (128, 512, 4), (512, 128, 3), (256, 512, 1), (512, 256, 1), (2304, 256, 6), (256, 1024, 6), (1024, 256, 5),
    (512, 1024, 1), (1024, 512, 1), (4608, 512, 3), (512, 2048, 3), (2048, 512, 2), (1024, 2048, 1),
    (2048, 1000, 1),
]  # fmt: skip


def openblas(system, sides):
    factor = scipy.linalg.cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    scipy.linalg.cho_solve(factor, sides, overwrite_b=True, check_finite=False)


def mkl(system, sides):
    torch.cholesky_solve(sides, torch.linalg.cholesky(system))


def fastest(work, make):
    seconds = []
    for _ in range(ROUNDS):
        system, sides = make()
        begun = time.perf_counter()
        work(system, sides)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


totals = [0.0, 0.0]
print(f"{THREADS} threads, seconds\n d x outputs    n OpenBLAS      MKL")
for d, outputs, count in LAYERS:
    distance = np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
    system = 1 / (1 + distance) ** 2 + 2 * np.eye(d)
    sides = np.random.default_rng(0).standard_normal((d, outputs))
    found = [
        fastest(openblas, lambda: (np.asfortranarray(system), np.array(sides, order="F"))),
        fastest(mkl, lambda: (torch.from_numpy(system.copy()), torch.from_numpy(sides.copy()))),
    ]
    totals = [total + count * one for total, one in zip(totals, found)]
    print(f"{d:5} x {outputs:4} {count:4} {found[0]:8.4f} {found[1]:8.4f}", flush=True)
print(f"all layers        {totals[0]:8.2f} {totals[1]:8.2f}")
a = np.random.default_rng(0).standard_normal((2048, 2048))
b = torch.from_numpy(a.copy())
peaks = []
for name, product in (("OpenBLAS", lambda: a @ a), ("MKL", lambda: b @ b)):
    begun = time.perf_counter()
    product()
    peaks.append(2 * 2048**3 / 1e9 / (time.perf_counter() - begun))
    print(f"matrix product {name}: {peaks[-1]:.1f} Gflop/s")
print(json.dumps({"openblas": totals[0], "mkl": totals[1], "peak_gflops": peaks}))
