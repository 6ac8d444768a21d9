"""What are the sentence embeddings of a pre-trained encoder worth, before and after they are fine-tuned?

    python benchmarks/sentence_similarity.py outputs/mine --data_dir glue/STS-B --num_train_epochs 4 --num_seeds 3

Scores the pairs of STS-B's development set by the cosine of two embeddings; the figure is Spearman's correlation with
the judgements of people. Embeddings are means over the tokens of a text, [CLS] and [SEP] included: of the encoder's
word embeddings alone (a bag of words), and of each of its layers; then the same of fresh weights. The mean cosine of
texts that have nothing to do with each other says how far all embeddings point the same way. With --num_train_epochs,
the last layer is also fine-tuned on the training set (sentence-transformers, CoSENTLoss).
"""

import argparse
import csv
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from transformers import AutoModel
from transformers.utils import logging

from electra_hf.sharing.export.embeddings import export_embeddings
from electra_hf.sharing.export.loading import FEATURES, Exportable, load_exportable

Pairs = tuple[list[str], list[str], list[float]]


def read_pairs(file: Path) -> Pairs:
    """First texts, second texts, and scores from 0 to 5."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return (
        [row["sentence1"] for row in rows],
        [row["sentence2"] for row in rows],
        [float(row["score"]) for row in rows],
    )


@torch.inference_mode()
def embed(source: Exportable, model: Any, texts: list[str]) -> list[Tensor]:
    """(texts, hidden) for the bag of words and for each layer, from the embeddings on."""
    found: list[list[Tensor]] = []
    for start in range(0, len(texts), 64):
        encoded = source.tokenizer(
            texts[start : start + 64], padding=True, truncation=True, max_length=source.max_length, return_tensors="pt"
        )
        inputs = {name: encoded[name] for name in source.input_names}
        states = model(**inputs, output_hidden_states=True).hidden_states
        mask = inputs["attention_mask"].unsqueeze(2)
        layers = [model.get_input_embeddings()(inputs["input_ids"]), *states]
        found.append([(layer * mask).sum(1) / mask.sum(1) for layer in layers])
    return [torch.cat(batches) for batches in zip(*found, strict=True)]


def score(first: Tensor, second: Tensor, judged: list[float]) -> tuple[float, float]:
    """Spearman's correlation, and the mean cosine of a text with the first one of the pair before."""
    cosine = torch.nn.functional.cosine_similarity
    correlation: Any = spearmanr(cosine(first, second).numpy(), judged)
    return float(correlation.statistic), float(cosine(first, first.roll(1, 0)).mean())


def look_at(source: Exportable, model: Any, pairs: Pairs) -> list[tuple[float, float]]:
    """The two figures of the bag of words and of each layer."""
    first, second = embed(source, model, pairs[0]), embed(source, model, pairs[1])
    return [score(one, other, pairs[2]) for one, other in zip(first, second, strict=True)]


def fine_tune(folder: Path, train: Pairs, dev: Pairs, options: argparse.Namespace, seed: int) -> float:
    """Spearman's correlation after training on pairs with scores."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    model = SentenceTransformer(str(folder), device="cpu")
    columns = {"sentence1": train[0], "sentence2": train[1], "score": [each / 5 for each in train[2]]}
    with tempfile.TemporaryDirectory() as output:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=output,
            num_train_epochs=options.num_train_epochs,
            per_device_train_batch_size=32,
            learning_rate=options.learning_rate,
            warmup_steps=0.1,
            seed=seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        data = Dataset.from_dict(columns)
        SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=CoSENTLoss(model)).train()
    first, second = (torch.from_numpy(model.encode(texts, show_progress_bar=False)) for texts in dev[:2])
    return score(first, second, dev[2])[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="folders or Hub ids")
    parser.add_argument("--data_dir", type=Path, required=True, help="the folder with dev.tsv and train.tsv of STS-B")
    parser.add_argument("--num_train_epochs", type=int, default=0)
    parser.add_argument("--learning_rate", type=float, default=3e-4)
    parser.add_argument("--num_seeds", type=int, default=3, help="of fresh weights, and of fine-tuning")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.disable_progress_bar()
    dev, seeds = read_pairs(options.data_dir / "dev.tsv"), range(options.num_seeds)
    train = read_pairs(options.data_dir / "train.tsv") if options.num_train_epochs else None
    results: dict[str, Any] = {}
    for name in options.models:
        source = load_exportable(name, task=FEATURES)
        layers: dict[str, list] = {"trained": [look_at(source, source.model, dev)], "fresh": []}
        tuned: dict[str, list[float]] = {"trained": [], "fresh": []}
        for seed in seeds:
            torch.manual_seed(seed)
            fresh = AutoModel.from_config(source.config).eval()
            layers["fresh"].append(look_at(source, fresh, dev))
            if train is not None:
                with tempfile.TemporaryDirectory() as folder:
                    fresh.save_pretrained(f"{folder}/fresh")
                    source.tokenizer.save_pretrained(f"{folder}/fresh")
                    for kind, where in {"trained": name, "fresh": f"{folder}/fresh"}.items():
                        output = Path(folder, f"{kind}-embeddings")
                        export_embeddings(where, output)
                        tuned[kind].append(fine_tune(output, train, dev, options, seed))
        results[name] = {"layers": layers, "fine-tuned": tuned}
        show(name, layers, tuned)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def show(name: str, layers: dict[str, list], tuned: dict[str, list[float]]) -> None:
    print(f"{Path(name).name}: Spearman's correlation x 100 (mean cosine of unrelated texts)")
    for kind, runs in layers.items():
        figures = np.median(np.array(runs), axis=0)
        labels = ["bag of words", "embeddings", *(f"layer {number}" for number in range(1, len(figures) - 1))]
        rows = zip(labels, figures, strict=True)
        line = "  ".join(f"{label} {100 * rho:.1f} ({cosine:.2f})" for label, (rho, cosine) in rows)
        print(f"  {kind}: {line}")
        if values := tuned[kind]:
            spread = f"{100 * min(values):.1f} to {100 * max(values):.1f}"
            print(f"  {kind}, fine-tuned: {100 * statistics.median(values):.1f} ({spread}, {len(values)} seeds)")


if __name__ == "__main__":
    main()
