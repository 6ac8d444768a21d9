"""Tokenizers that are none: vocabularies without special tokens, models cut short, files of something else."""

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from malformed import Cases, Kit, check, options, write
from sentencepiece import SentencePieceTrainer, sentencepiece_model_pb2

SPECIAL = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"


def bare(content: str | bytes, name: str = "vocab.txt"):
    """`tokenizer import` of one file."""

    def make(folder: Path, kit: Kit):
        (file,) = write(name, content)(folder, kit)
        lower = ("--do_lower_case", "true") if name.endswith(".txt") else ()
        return (file, *lower, "--output_dir", folder.parent / "out")

    return make


def changed(name: str, change: Callable[[bytes], bytes | None]):
    """`tokenizer import` of a folder in which one file was changed."""

    def make(folder: Path, kit: Kit):
        for file in kit.tokenizer.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        content = change((folder / name).read_bytes())
        (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
        return (folder, "--output_dir", folder.parent / "out")

    return make


def edited(path: str, value: object):
    """`tokenizer import` of a folder in which one value of tokenizer.json is another."""

    def change(content: bytes) -> bytes:
        tree = json.loads(content)
        *parents, last = path.split(".")
        place = tree
        for parent in parents:
            place = place[parent]
        place[last] = value
        return json.dumps(tree).encode()

    return changed("tokenizer.json", change)


def spm(change: Callable[[bytes], bytes]):
    """`tokenizer import` of a SentencePiece model that was changed."""

    def make(folder: Path, kit: Kit):
        (folder / "spiece.model").write_bytes(change(_spm_model()))
        return (folder / "spiece.model", "--output_dir", folder.parent / "out")

    return make


def _spm_model() -> bytes:
    """A model of a few pieces, as sentencepiece writes it."""
    stream = io.BytesIO()
    sentences = iter(["the river sings over small stones", "a cat sat on the mat and ran home"] * 20)
    SentencePieceTrainer.train(
        sentence_iterator=sentences, model_writer=stream, vocab_size=48, hard_vocab_limit=False, minloglevel=2
    )
    return stream.getvalue()


def with_model(change: Callable):
    def edit(content: bytes) -> bytes:
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString(content)
        change(model)
        return model.SerializeToString()

    return edit


def without_unknown(model) -> None:
    del model.pieces[0]


def of_words(model) -> None:
    model.trainer_spec.model_type = 3


def with_a_piece_twice(model) -> None:
    model.pieces.add().CopyFrom(model.pieces[5])


def with_a_piece_off(model) -> None:
    model.pieces[5].type = 5


def with_a_broken_charsmap(model) -> None:
    model.normalizer_spec.precompiled_charsmap = b"\xff" * 9


def with_half_a_charsmap(model) -> None:
    model.normalizer_spec.precompiled_charsmap = model.normalizer_spec.precompiled_charsmap[:1000]


IMPORT: Cases = {
    "nowhere": (options("no/such/folder", "--output_dir", "out"), 1, ("no/such/folder", "tokenizer.json")),
    "empty vocabulary": (bare(""), 1, ("vocab.txt", "[PAD]")),
    "no special tokens": (bare("a\nb\nc\n"), 1, ("vocab.txt", "[MASK]", "BERT vocabulary")),
    "no mask": (bare(SPECIAL.replace("[MASK]\n", "") + "a\n"), 1, ("vocab.txt", "[MASK] not among")),
    "a token twice": (bare(SPECIAL + "a\nb\na\n"), 1, ("vocab.txt", "more than one line", "'a'")),
    "blank lines": (bare(SPECIAL + "a\n\n\nb\n"), 1, ("vocab.txt", "more than one line")),
    "UTF-16": (bare((SPECIAL + "a\n").encode("utf-16")), 1, ("vocab.txt", "UTF-8")),
    "binary": (bare(bytes(range(128, 256))), 1, ("vocab.txt", "UTF-8")),
    "a pickle": (bare(pickle.dumps({"a": 1}), "vocab.pkl"), 1, ("vocab.pkl", "vocab.txt")),
    "a pickle for a model": (bare(pickle.dumps({"a": 1}), "spiece.model"), 1, ("spiece.model", "SentencePiece")),
    "text for a model": (bare(SPECIAL, "spiece.model"), 1, ("spiece.model", "SentencePiece")),
    "an empty model": (bare("", "spiece.model"), 1, ("spiece.model", "unknown piece")),
    "no case": (write("vocab.txt", SPECIAL + "a\n"), 2, ("--output_dir",)),
    "cut tokenizer.json": (changed("tokenizer.json", lambda content: content[:500]), 1, ("no tokenizer could be",)),
    "empty tokenizer.json": (changed("tokenizer.json", lambda _: b""), 1, ("no tokenizer could be",)),
    "a list for tokenizer.json": (changed("tokenizer.json", lambda _: b"[]"), 1, ("no tokenizer could be",)),
    "an object for tokenizer.json": (changed("tokenizer.json", lambda _: b"{}"), 1, ("no tokenizer could be",)),
    "no model in it": (edited("model", None), 1, ("no tokenizer could be",)),
    "a number for a vocabulary": (edited("model.vocab", 5), 1, ("no tokenizer could be",)),
    "no vocabulary in it": (edited("model.vocab", {}), 1, ("given",)),
    "numbers out of range": (edited("model.vocab", {"[UNK]": -1}), 1, ("no tokenizer could be",)),
    "an unknown normaliser": (edited("normalizer", {"type": "Magic"}), 1, ("no tokenizer could be",)),
    "cut tokenizer_config.json": (changed("tokenizer_config.json", lambda content: content[:9]), 1, ("given",)),
    "a list for tokenizer_config.json": (changed("tokenizer_config.json", lambda _: b"[]"), 1, ("given",)),
    "code of its own": (
        changed(
            "tokenizer_config.json",
            lambda _: b'{"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["mine.Mine", null]}}',
        ),
        1,
        ("given", "no tokenizer could be"),
    ),
    "a model cut short": (spm(lambda content: content[: len(content) // 3]), 1, ("spiece.model",)),
    "a model with bytes flipped": (spm(lambda content: bytes(b ^ 0x55 for b in content)), 1, ("spiece.model",)),
    "a model without an unknown piece": (spm(with_model(without_unknown)), 1, ("spiece.model", "unknown piece")),
    "a model of words": (spm(with_model(of_words)), 1, ("spiece.model", "Unigram and BPE")),
    "a model with a piece twice": (spm(with_model(with_a_piece_twice)), 1, ("spiece.model", "twice")),
    "a model with a piece off": (spm(with_model(with_a_piece_off)), 1, ("spiece.model", "switched off")),
    "a model with broken rules": (spm(with_model(with_a_broken_charsmap)), 1, ("character rules",)),
    "a model with half the rules": (spm(with_model(with_half_a_charsmap)), 1, ("character rules",)),
}


def of_another_model(folder: Path, _: Kit):
    tokens = SPECIAL + "".join(f"v{number}\n" for number in range(59))
    (folder / "vocab.txt").write_text(tokens)
    return ("--tokenizer_name", folder / "vocab.txt", "--do_lower_case", "true")


def larger(folder: Path, _: Kit):
    (folder / "vocab.txt").write_text(SPECIAL + "".join(f"w{number}\n" for number in range(900)))
    return ("--tokenizer_name", folder / "vocab.txt", "--do_lower_case", "true")


PRETRAINING: Cases = {
    "another vocabulary": (of_another_model, 2, ("another vocabulary", "leave out --tokenizer_name")),
    "another size": (larger, 2, ("905", "leave out --tokenizer_name")),
    "nowhere": (options("--tokenizer_name", "./nowhere"), 1, ("./nowhere", "tokenizer.json")),
    "case of a folder": (options("--do_lower_case", "true"), 1, ("only for a bare vocab.txt",)),
}


@pytest.mark.parametrize("name", IMPORT)
def test_a_malformed_tokenizer_is_explained(name: str, kit: Kit, tmp_path: Path):
    check("electra-hf", ("tokenizer", "import"), IMPORT[name], kit, tmp_path)


@pytest.mark.parametrize("name", PRETRAINING)
def test_a_tokenizer_that_does_not_fit(name: str, sound_pretraining, kit: Kit, tmp_path: Path):
    check("run_pretraining", sound_pretraining, PRETRAINING[name], kit, tmp_path)


@pytest.mark.parametrize("name", ["another size", "nowhere", "case of a folder"])
def test_a_tokenizer_that_does_not_fit_for_a_task(name: str, sound_glue, kit: Kit, tmp_path: Path):
    make, code, words = PRETRAINING[name]
    check("run_glue", sound_glue, (make, code, words[:1]), kit, tmp_path)
