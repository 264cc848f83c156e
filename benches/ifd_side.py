"""The Python side of `ifd-against-transformers`: IFD as the published scripts compute it.

Started by that program with a model folder, a file of prompts and answers, and a number of threads.
Reads one word a line from standard input, the name of a set of samples; scores that set one text at a
time and prints the seconds it took and every IFD as a line of JSON.
"""

import json
import math
import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, work, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
sets = json.load(open(work, encoding="utf-8"))


def loss(text, start):
    """The model's loss over the tokens of `text` from `start` on; it makes all logits for it."""
    ids = tokenizer.encode(text, return_tensors="pt")
    labels = ids.clone()
    labels[0, :start] = -100
    with torch.no_grad():
        return model(ids, labels=labels).loss.item()


def ifd(prompt, answer):
    start = len(tokenizer.encode(prompt))
    # A tokenizer without a beginning leaves the first token of the answer out of both.
    return math.exp(loss(prompt + answer, start + 1) - loss(answer, 1))


print("ready", flush=True)
for line in sys.stdin:
    begun = time.perf_counter()
    scores = [ifd(prompt, answer) for prompt, answer in sets[line.strip()]]
    print(json.dumps([time.perf_counter() - begun, scores]), flush=True)
