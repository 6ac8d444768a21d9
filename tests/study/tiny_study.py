"""A study of two small runs and one task, as a file that tests change."""

import csv
import random
from pathlib import Path
from typing import Any

import yaml
from transformers import BertTokenizer

WORDS = ["fine", "lovely", "bright", "dull", "grim", "cold", "the", "film", "a", "plot", "and", "music", "was", "very"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZES = {
    **{"embedding_size": 16, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
    **{"intermediate_size": 32, "max_position_embeddings": 16},
}
ROWS, LENGTH = 8, 16


def make_files(folder: Path) -> None:
    """A corpus, its tokenizer, and labelled sentences, in a folder."""
    rng = random.Random(0)
    documents = ["\n".join(" ".join(rng.choices(WORDS, k=12)) for _ in range(3)) for _ in range(60)]
    (folder / "corpus.txt").write_text("\n\n".join(documents), encoding="utf-8")
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    BertTokenizer(vocab=vocabulary, model_max_length=LENGTH).save_pretrained(folder / "tokenizer")
    for split, rows in (("train", 64), ("validation", 24)):
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("text", "label"))
            for number in range(rows):
                words = rng.choices(WORDS[6:], k=5) + [rng.choice(WORDS[:3] if number % 2 else WORDS[3:6])]
                writer.writerow((" ".join(words), "good" if number % 2 else "bad"))


def content(folder: Path) -> dict[str, Any]:
    """The study as it would stand in its file; not shared between calls."""
    files = {f"{split}_file": str(folder / f"{split}.csv") for split in ("train", "validation")}
    return {
        "output_dir": str(folder / "study"),
        "corpus": {
            "train_file": [str(folder / "corpus.txt")],
            "tokenizer_name": str(folder / "tokenizer"),
            "validation_split_percentage": 20,
            "max_seq_length": LENGTH,
        },
        "budget": {"flops": 2e7},
        "common": {
            "config_overrides": dict(SIZES),
            "per_device_train_batch_size": ROWS,
            "logging_steps": 2,
            "save_steps": 2,
            "do_eval": True,
            "use_cpu": True,
        },
        "runs": {"narrow": {"generator_width": 0.5}, "wide": {"generator_width": 1.0}},
        "finetuning_common": {"num_seeds": 2, "num_train_epochs": 1, "use_cpu": True, "max_seq_length": LENGTH},
        "finetuning": [{"name": "films", **files}],
    }


def write(folder: Path, study: dict[str, Any]) -> Path:
    """The file of a study."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return path
