"""The Python side of `against-transformers`: the same work in PyTorch and Transformers.

Started by that program with a folder that holds a model and `work.json`. Reads one word a line from
standard input, does that work once and prints the seconds it took.
"""

import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM, get_linear_schedule_with_warmup

folder, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
work = json.load(open(f"{folder}/work.json"))


def load():
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")


def loss_of(model, batch, everywhere):
    time_ = max(len(ids) for ids, _ in batch)
    ids = torch.zeros(len(batch), time_, dtype=torch.long)
    labels = torch.full((len(batch), time_), -100)
    for row, (tokens, supervised) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        targets = torch.where(torch.tensor(supervised), torch.tensor(tokens), -100)
        labels[row, : len(tokens)] = targets
    labels = labels[:, 1:]
    if everywhere:
        logits = model(ids, use_cache=False).logits[:, :-1]
    else:
        hidden = model.model(ids, use_cache=False).last_hidden_state[:, :-1]
        keep = labels != -100
        logits, labels = model.lm_head(hidden[keep]), labels[keep]
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


def train(everywhere):
    model = load().train()
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0)
    batches = work["batches"]
    schedule = get_linear_schedule_with_warmup(optimizer, 1, len(batches))
    begun = time.perf_counter()
    for batch in batches:
        loss = loss_of(model, batch, everywhere)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        loss.item()
    return time.perf_counter() - begun


def generate(beams):
    model = load().eval()
    prompts = sorted(work["prompts"], key=len)
    begun = time.perf_counter()
    for first in range(0, len(prompts), work["rows"]):
        part = prompts[first : first + work["rows"]]
        time_ = max(map(len, part))
        ids = torch.tensor([[0] * (time_ - len(prompt)) + prompt for prompt in part])
        mask = torch.tensor([[0] * (time_ - len(prompt)) + [1] * len(prompt) for prompt in part])
        with torch.no_grad():
            model.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=work["new_tokens"],
                do_sample=False,
                num_beams=beams,
                eos_token_id=None,
                pad_token_id=0,
            )
    return time.perf_counter() - begun


KINDS = {
    "train": lambda: train(False),
    "train-everywhere": lambda: train(True),
    "greedy": lambda: generate(1),
    "beams": lambda: generate(4),
}
print("ready", flush=True)
for line in sys.stdin:
    print(KINDS[line.strip()](), flush=True)
