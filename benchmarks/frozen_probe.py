"""What does an encoder hold before fine-tuning? A logistic regression on its frozen hidden states, layer by layer.

    python benchmarks/frozen_probe.py outputs/mine sst2=glue --max_train_samples 8000

States are averaged over the tokens of a text, and for the last layer also taken at [CLS]. The same architecture with
fresh weights is probed beside it: a layer of a pre-trained encoder that is worse than a fresh one has lost more of the
text than it has learnt about it. Takes a minute on one core for a small encoder, where fine-tuning over seeds takes an
hour. Accuracy on the validation split; one task of single texts (`TASK=FOLDER[,TRAIN_FILE]`). One thread.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from electra_hf.errors import UsageError, run_script
from electra_hf.finetuning.tasks import TaskArguments, load_task
from electra_hf.models.initialization import initialize_as_reference
from electra_hf.tokens.tokenizers import load_tokenizer

BATCH = 128
STRENGTH = 0.1
ITERATIONS = 300
SEED = 0


@torch.inference_mode()
def states(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int
) -> np.ndarray:
    """(layers + 2, texts, hidden) fp32: embeddings and each layer averaged over tokens, and the last one at [CLS]."""
    found = []
    for start in range(0, len(texts), BATCH):
        batch = tokenizer(
            texts[start : start + BATCH], padding=True, truncation=True, max_length=max_length, return_tensors="pt"
        )
        layers = model(**batch, output_hidden_states=True).hidden_states
        real = batch["attention_mask"].unsqueeze(-1).float()
        averaged = [(layer * real).sum(1) / real.sum(1) for layer in layers]
        found.append(torch.stack([*averaged, layers[-1][:, 0]]).numpy())
    return np.concatenate(found, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Folder or Hub id of an ELECTRA encoder.")
    parser.add_argument("task", metavar="TASK=FOLDER[,TRAIN_FILE]")
    parser.add_argument("--max_train_samples", type=int, default=8_000)
    parser.add_argument("--max_eval_samples", type=int, default=3_000)
    parser.add_argument("--max_seq_length", type=int, default=64)
    parser.add_argument("--json", type=Path, help="Write everything here.")
    options = parser.parse_args()
    name, _, place = options.task.partition("=")
    folder, _, train_file = place.partition(",")
    arguments = TaskArguments(
        task_name=name,
        data_dir=folder or None,
        train_file=train_file or None,
        max_train_samples=options.max_train_samples,
        max_eval_samples=options.max_eval_samples,
    )
    data = load_task(name, arguments)
    splits = [data.splits["train"], data.splits["validation"]]
    if data.task.kind != "classification" or "text_pair" in splits[0].column_names:
        raise UsageError(f"{name}: give a task of single texts with one label each, such as sst2, cola, imdb or nsmc")
    logging.set_verbosity_error()  # the head of pre-training is left out on purpose
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    tokenizer = load_tokenizer(options.model)
    accuracies = {}
    for kind in ("pre-trained", "fresh"):
        model = AutoModel.from_pretrained(options.model).eval()
        if kind == "fresh":
            torch.manual_seed(SEED)
            initialize_as_reference(model)
        known, unknown = (states(model, tokenizer, list(split["text"]), options.max_seq_length) for split in splits)
        with threadpool_limits(1):
            accuracies[kind] = [
                make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=ITERATIONS))
                .fit(before, splits[0]["label"])
                .score(after, splits[1]["label"])
                for before, after in zip(known, unknown, strict=True)
            ]
    places = ["embeddings", *(f"layer {number}" for number in range(len(known) - 2)), "[CLS]"]
    table = Table("", *accuracies, title=f"{name}, accuracy x 100", box=None, pad_edge=False)
    for row in zip(places, *accuracies.values(), strict=True):
        table.add_row(row[0], *(f"{100 * value:.1f}" for value in row[1:]))
    Console().print(table)
    if options.json:
        content = {"task": name, "places": places, "accuracy": accuracies, "notes": list(data.notes)}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_script(main)
