"""Sentences with entities that a tiny encoder can learn in a second, and files of them."""

import random
from pathlib import Path

from tiny_glue import FILLING, GOOD

SCRIPT = Path(__file__).parents[2] / "run_ner.py"
RECIPE = (
    *(
        "--max_seq_length",
        "16",
        "--doc_stride",
        "4",
        "--per_device_train_batch_size",
        "16",
        "--num_train_epochs",
        "12",
    ),
    *("--learning_rate", "2e-2", "--layerwise_lr_decay", "1.0", "--use_cpu", "--disable_tqdm", "true"),
)
NAME = "lovely"


def tagged_sentences(rows: int, seed: int, length: int = 8) -> list[list[tuple[str, str]]]:
    """Words and IOB2 tags. `lovely` and the words of GOOD after it are a person, another word of GOOD is a place."""
    rng = random.Random(seed)
    found = []
    for _ in range(rows):
        words = rng.choices([*FILLING, *GOOD, NAME], k=length)
        tags: list[str] = []
        for word in words:
            if word == NAME:
                tags.append("B-PER")
            elif word not in GOOD:
                tags.append("O")
            elif tags and tags[-1].endswith("PER"):
                tags.append("I-PER")
            else:
                tags.append("B-LOC")
        found.append(list(zip(words, tags, strict=True)))
    return found


def write_conll(path: Path, rows: list[list[tuple[str, str]]], *, tags: bool = True) -> Path:
    """A file of columns, with blank lines between the sentences."""
    blocks = ["\n".join(f"{word}\t{tag}" if tags else word for word, tag in row) for row in rows]
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return path


def write_files(folder: Path) -> tuple[str, ...]:
    """Options that name a training, a validation and a test file."""
    folder.mkdir(parents=True, exist_ok=True)
    options: list[str] = []
    for number, (split, rows) in enumerate((("train", 200), ("validation", 40), ("test", 20))):
        path = write_conll(folder / f"{split}.txt", tagged_sentences(rows, number))
        options += [f"--{split}_file", str(path)]
    return tuple(options)
