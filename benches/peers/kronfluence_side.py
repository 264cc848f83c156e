"""The kronfluence side of `against-kronfluence`: factors and pairwise scores as its users compute them.

    python kronfluence_side.py WORK COMMAND THREADS

`WORK` is a folder which that program has written: `work.json` and `samples.safetensors`. `COMMAND` is one of

    batches      try a few batch sizes on some of the samples and answer with the fastest of each stage
    factors      fit the two covariances of every layer; decompose them
    identity     pairwise scores without curvature
    kfac         pairwise scores with K-FAC
    ekfac        fit the eigenvalues anew in the eigenbasis; pairwise scores

Results stay where kronfluence puts them, under `WORK/theirs`. One line of JSON goes to standard output: the seconds of
each stage (start-up and loading of the model left out), the processor seconds, and the greatest resident memory of this
process. `samples.safetensors` and the meaning of `work.json` are described in README.md.
"""

import json
import logging
import shutil
import sys
import time
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from kronfluence.utils.dataset import DataLoaderKwargs
from safetensors.torch import load_file
from torch.utils.data import Dataset, Subset
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

# Batch sizes that are tried, on how many samples, and how often.
SIZES, TRIED, TIMES = (4, 8, 16, 32, 64, 128), 128, 2
# What labels say of a token that is no target.
IGNORED = -100


class Samples(Dataset):
    """Token ids and labels of either part of the samples, at their own lengths."""

    def __init__(self, tensors, part):
        lengths = tensors[f"{part}.lengths"].tolist()
        self.ids = tensors[f"{part}.ids"].split(lengths)
        self.supervised = tensors[f"{part}.supervised"].bool().split(lengths)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, n):
        return self.ids[n], self.ids[n].masked_fill(~self.supervised[n], IGNORED)


def padded(rows, least=0):
    """A batch, padded on the right to the longest of its rows, or to `least` tokens if that is more."""

    def pad(sequences, value):
        batch = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=value)
        return F.pad(batch, (0, max(0, least - batch.shape[1])), value=value)

    ids, labels = zip(*rows)
    return {
        "input_ids": pad(ids, 0),
        "labels": pad(labels, IGNORED),
        "attention_mask": pad([torch.ones_like(row) for row in ids], 0),
    }


class Summed(Task):
    """The loss of a batch is the sum over its target tokens, for training samples and queries."""

    def __init__(self, layers, every_logit):
        self.layers, self.every_logit = layers, every_logit

    def compute_train_loss(self, batch, model, sample=False):
        assert not sample, "both sides use the labels of the data"
        labels = batch["labels"][:, 1:]
        inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "use_cache": False}
        if self.every_logit:
            logits = model(**inputs).logits[:, :-1]
            return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")
        target = labels != IGNORED
        hidden = model.base_model(**inputs).last_hidden_state[:, :-1]
        logits = model.get_output_embeddings()(hidden[target])
        return F.cross_entropy(logits, labels[target], reduction="sum")

    def compute_measurement(self, batch, model):
        return self.compute_train_loss(batch, model)

    def get_influence_tracked_modules(self):
        return self.layers

    def get_attention_mask(self, batch):
        return batch["attention_mask"]


class Side:
    """kronfluence's analyzer over the work."""

    def __init__(self, folder):
        self.work = json.loads((folder / "work.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "samples.safetensors")
        self.train, self.queries = Samples(tensors, "train"), Samples(tensors, "queries")
        task = Summed(self.work["layers"], self.work["logits"] == "all")
        model = AutoModelForCausalLM.from_pretrained(self.work["model"], dtype=torch.float32)
        model = prepare_model(model.eval(), task)
        self.analyzer = Analyzer(
            analysis_name="theirs",
            model=model,
            task=task,
            cpu=True,
            log_level=logging.ERROR,
            disable_tqdm=True,
            disable_model_save=True,
            output_dir=str(folder),
        )
        longest = max(len(ids) for part in (self.train, self.queries) for ids in part.ids)
        least = longest if self.work["padding"] == "longest" else 0
        self.analyzer.set_dataloader_kwargs(DataLoaderKwargs(collate_fn=partial(padded, least=least)))

    def factors(self, strategy):
        return self.analyzer.factors_output_dir(factors_name=strategy)

    def fit(self, stage, strategy, batch, train=None):
        """Fits one stage of `strategy`."""
        arguments = FactorArguments(strategy=strategy, use_empirical_fisher=True)
        name = {"factors_name": strategy, "factor_args": arguments, "overwrite_output_dir": True}
        if stage == "eigenvectors":
            return self.analyzer.perform_eigendecomposition(**name)
        fit = {
            "covariances": self.analyzer.fit_covariance_matrices,
            "second moments": self.analyzer.fit_lambda_matrices,
        }[stage]
        return fit(dataset=train or self.train, per_device_batch_size=batch, **name)

    def score(self, strategy, batch, train=None):
        """Pairwise scores with the heuristic damping, 0.1 of a layer's mean eigenvalue."""
        if strategy == "identity":
            # No stage of fitting applies; this leaves the arguments that scoring reads.
            self.fit("covariances", strategy, batch, train)
        self.analyzer.compute_pairwise_scores(
            scores_name=strategy,
            factors_name=strategy,
            query_dataset=self.queries,
            train_dataset=train or self.train,
            # All at once: every batch of queries is another pass over the training samples.
            per_device_query_batch_size=len(self.queries),
            per_device_train_batch_size=batch,
            score_args=ScoreArguments(damping_factor=None),
            overwrite_output_dir=True,
        )


def timed(action, *arguments):
    begun, used = time.perf_counter(), time.process_time()
    action(*arguments)
    return {"seconds": time.perf_counter() - begun, "processor": time.process_time() - used}


def fastest(side):
    """The batch size that takes the least time, of covariances and of scores."""
    found = {}
    count = min(len(side.train), TRIED)
    some = Subset(side.train, range(count))
    stages = {
        "covariances": lambda size: side.fit("covariances", "kfac", size, some),
        "scores": lambda size: side.score("identity", size, some),
    }
    for stage, run in stages.items():
        sizes = [size for size in SIZES if size <= count] or [count]
        run(sizes[0])
        # Each in turn, so that a disturbance does not decide.
        rounds = [{size: timed(run, size)["seconds"] for size in sizes} for _ in range(TIMES)]
        tried = {size: min(times[size] for times in rounds) for size in sizes}
        print(f"{stage}: " + ", ".join(f"{s}: {t:.2f} s" for s, t in tried.items()), file=sys.stderr)
        found[stage] = min(tried, key=tried.get)
    shutil.rmtree(side.analyzer.output_dir)
    return found


def memory(field):
    """Bytes; the kernel's count for this program alone, which `ru_maxrss` is not after a fork."""
    for line in open("/proc/self/status", encoding="utf-8"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"no {field} in /proc/self/status")


def main():
    folder, command, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    disable_progress_bar()
    side = Side(folder)
    if command == "batches":
        print(json.dumps(fastest(side)), flush=True)
        return
    batches, stages, loaded = side.work["batches"], {}, memory("VmRSS")
    if command == "factors":
        for stage in ("covariances", "eigenvectors"):
            stages[stage] = timed(side.fit, stage, "kfac", batches["covariances"])
    else:
        if command == "ekfac":
            # The same covariances and eigenvectors under another strategy's name.
            shutil.copytree(side.factors("kfac"), side.factors("ekfac"), dirs_exist_ok=True)
            stages["second moments"] = timed(side.fit, "second moments", "ekfac", batches["scores"])
        stages["scores"] = timed(side.score, command, batches["scores"])
    print(json.dumps({"stages": stages, "loaded": loaded, "peak": memory("VmHWM")}), flush=True)


main()
