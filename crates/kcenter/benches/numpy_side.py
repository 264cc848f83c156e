"""The Python side of `against_numpy`: the same rows, the loops that its users would write.

Reads one JSON object a line from standard input, does that work and prints a JSON object with the picks and the
seconds it took.
"""

import json
import sys
import time

import numpy as np


class Clock:
    """Seconds on the clock, and of all processors together."""

    def __init__(self):
        self.begun = time.perf_counter(), time.process_time()

    def answer(self, picks):
        clock, processors = time.perf_counter() - self.begun[0], time.process_time() - self.begun[1]
        return {"seconds": clock, "processors": processors, "picks": picks}


def rows(job):
    shape = (job["rows"], job["columns"])
    if job["mapped"]:
        return np.memmap(job["file"], dtype=np.float32, mode="r", shape=shape)
    return np.fromfile(job["file"], dtype=np.float32).reshape(shape)


def k_center(job):
    """Farthest-first with a running minimum, distances from differences or by the Gram identity."""
    x = rows(job)
    clock = Clock()
    nearest = np.full(len(x), np.inf, dtype=np.float32)
    picks = [0]
    if job["form"] == "products":
        squares = np.concatenate([np.einsum("ij,ij->i", part, part) for part in np.array_split(x, 64)])
    while True:
        c = picks[-1]
        if job["form"] == "products":
            distances = squares + squares[c] - 2 * (x @ x[c])
        else:
            distances = ((x - x[c]) ** 2).sum(axis=1)
        np.minimum(nearest, distances, out=nearest)
        if len(picks) == job["picks"]:
            break
        picks.append(int(nearest.argmax()))
    return clock.answer(picks)


def facility(job):
    from apricot import FacilityLocationSelection

    x = rows(job)
    options = {} if job["form"] == "default" else {"optimizer": job["form"]}
    # Compiles what it compiles.
    FacilityLocationSelection(5, metric="precomputed", **options).fit(np.eye(100))
    clock = Clock()
    # Its own "cosine" is the square of the cosine, and slower: the matrix of cosines is made here.
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = np.maximum(x @ x.T, 0).astype(np.float64)
    selector = FacilityLocationSelection(job["picks"], metric="precomputed", **options).fit(cosines)
    return clock.answer([int(row) for row in selector.ranking])


def product(job):
    a = np.random.default_rng(1).random((4096, 4096), dtype=np.float32)
    a @ a
    clock = Clock()
    for _ in range(5):
        a @ a
    return clock.answer([])


WORK = {"k-center": k_center, "facility": facility, "product": product}
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    print(json.dumps(WORK[job["work"]](job)), flush=True)
