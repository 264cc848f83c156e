"""The Python side of `against_numpy`: the same rows, the loops that its users would write.

Reads one JSON object a line from standard input, does that work and prints a JSON object with the seconds
it took.
"""

import json
import sys
import time

import numpy as np


def rows(job):
    shape = (job["rows"], job["columns"])
    if job["mapped"]:
        return np.memmap(job["file"], dtype=np.float32, mode="r", shape=shape)
    return np.fromfile(job["file"], dtype=np.float32).reshape(shape)


def k_center(job):
    """Farthest-first with a running minimum, distances from differences or by the Gram identity."""
    x = rows(job)
    begun = time.perf_counter()
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
    return {"seconds": time.perf_counter() - begun, "picks": picks}


def facility(job):
    from apricot import FacilityLocationSelection

    x = rows(job)
    options = {} if job["form"] == "default" else {"optimizer": job["form"]}
    # Compiles what it compiles.
    FacilityLocationSelection(5, metric="cosine", **options).fit(x[:100])
    begun = time.perf_counter()
    selector = FacilityLocationSelection(job["picks"], metric="cosine", **options).fit(x)
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "picks": [int(row) for row in selector.ranking]}


def product(job):
    a = np.random.default_rng(1).random((4096, 4096), dtype=np.float32)
    a @ a
    begun = time.perf_counter()
    for _ in range(5):
        a @ a
    return {"seconds": (time.perf_counter() - begun) / 5, "picks": []}


WORK = {"k-center": k_center, "facility": facility, "product": product}
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    print(json.dumps(WORK[job["work"]](job)), flush=True)
