"""A tiny encoder, texts with a rule that it can learn in a second, and run_glue.py in this process."""

import csv
import json
import random
from pathlib import Path
from types import ModuleType

import torch
from tiny_script import Finished, run_module
from transformers import BertTokenizer, ElectraConfig, ElectraForPreTraining

SCRIPT = Path(__file__).parents[2] / "run_glue.py"
GOOD = ["fine", "lovely", "bright", "warm"]
BAD = ["dull", "grim", "cold", "stale"]
FILLING = ["the", "film", "a", "plot", "and", "music", "was", "very"]
RECIPE = (
    *("--max_seq_length", "16", "--per_device_train_batch_size", "16", "--num_train_epochs", "4"),
    *("--learning_rate", "1e-2", "--layerwise_lr_decay", "1.0", "--use_cpu", "--disable_tqdm", "true"),
)


def run_glue(module: ModuleType, *options: str | Path) -> Finished:
    return run_module(module, *options)


def make_encoder(folder: Path, *, with_tokenizer: bool = True) -> Path:
    """A discriminator as pre-training leaves it: one layer of 16."""
    words = [*GOOD, *BAD, *FILLING]
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    config = ElectraConfig(
        vocab_size=len(vocabulary),
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(0)
    ElectraForPreTraining(config).save_pretrained(folder)
    if with_tokenizer:
        BertTokenizer(vocab=vocabulary, model_max_length=32).save_pretrained(folder)
    return folder


def sentences(rows: int, seed: int) -> list[tuple[str, str]]:
    """Texts with one word that tells their label, `good` or `bad`."""
    rng = random.Random(seed)
    found = []
    for _ in range(rows):
        label = rng.choice(["good", "bad"])
        words = [*rng.choices(FILLING, k=5), rng.choice(GOOD if label == "good" else BAD)]
        rng.shuffle(words)
        found.append((" ".join(words), label))
    return found


def write_csv(path: Path, header: tuple[str, ...], rows: list[tuple]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_files(folder: Path) -> tuple[str, ...]:
    """Options that name a training, a validation and a test file."""
    folder.mkdir(parents=True, exist_ok=True)
    options: list[str] = []
    for number, (split, rows) in enumerate((("train", 240), ("validation", 40), ("test", 20))):
        path = write_csv(folder / f"{split}.csv", ("text", "label"), sentences(rows, number))
        options += [f"--{split}_file", str(path)]
    return tuple(options)


def scores(folder: Path, name: str = "eval_results.json") -> dict:
    return json.loads((folder / name).read_text(encoding="utf-8"))
