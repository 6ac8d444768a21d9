"""A documented command made small: itself with options appended, and stand-ins for what would be downloaded."""

import bz2
import json
import shutil
from pathlib import Path

import sentencepiece
from stand_in import PRETRAINING, ROOT, SIZES, write_texts
from transformers import (
    BertConfig,
    BertForMaskedLM,
    ElectraConfig,
    RobertaConfig,
    RobertaForMaskedLM,
)

DUMP = "kowiki-latest-pages-articles.xml.bz2"
FINETUNING = (
    *("--max_train_samples", "16", "--max_eval_samples", "8", "--max_predict_samples", "8", "--num_train_epochs", "1"),
    *("--per_device_train_batch_size", "8", "--use_cpu", "--disable_tqdm", "true"),
)
# What the Hub would send.
HUB = {
    "google/electra-small-discriminator": "hub/electra",
    "google/electra-base-discriminator": "hub/electra",
    "google/electra-small-generator": "hub/electra/generator",
    "google-bert/bert-base-uncased": "hub/bert",
    "FacebookAI/roberta-base": "hub/roberta",
    "VOCABULARY": "hub/electra",
    "en_wiki_featured/wiki_0*": "texts/*.txt",
}
# Commands that are not run even here, by their first words, and why.
NOT_RUN = {
    ("electra-hf", "study"): "trains for hours; tests/study runs studies",
    ("electra-hf", "plan"): "measures this machine; has tests of its own",
    ("electra-hf", "watch"): "serves until it is stopped; has tests of its own",
    ("electra-hf", "push"): "needs a Hub; has tests of its own against a stand-in",
    ("electra-hf", "submission"): "needs all nine tasks of GLUE; tests/finetuning/test_submission.py",
    ("make",): "installs into .venv, or runs what continuous integration runs anyway",
    ("pip",): "installs into the environment",
    ("wget",): "downloads",
    ("git",): "clones",
    ("hf",): "asks for a token",
    ("pre-commit",): "changes the clone's hooks",
    ("options",): "no command by itself",
    ("python", "-c"): "needs the reader's folder",
    ("python", "run_mlm.py"): "not ours",
    ("python", "benchmarks/"): "measures for minutes to hours; the figures in docs are its results",
}
# What takes a command to machines, or to data, which are not here.
ELSEWHERE = {"--executor": "needs Slurm or a running Ray", "NAME_OR_FOLDER": "stands for a data set of the reader's"}


def make_world(folder: Path) -> None:
    """Texts, a dump, labelled and tagged files, reviews in folders, and published models of a few thousand weights."""
    write_texts(folder, documents=400)
    text = (folder / "texts" / "a.txt").read_text(encoding="utf-8")
    pages = "".join(
        f"<page><title>{n}</title><ns>0</ns><id>{n}</id><revision><id>{n}</id><model>wikitext</model>"
        f"<format>text/x-wiki</format><text>{document}</text></revision></page>"
        for n, document in enumerate(text.split("\n\n"), 1)
    )
    (folder / DUMP).write_bytes(bz2.compress(f"<mediawiki>{pages}</mediawiki>".encode()))
    lines = text.splitlines()
    (folder / "corpus.txt").write_text(text, encoding="utf-8")
    for name in ("train", "dev", "test"):
        rows = [f"{line[:60]},{'even' if n % 2 else 'odd'}" for n, line in enumerate(lines[:64])]
        (folder / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
        tagged = [
            "\n".join(f"{word} {'B-LOC' if len(word) > 6 else 'O'}" for word in line.split()) for line in lines[:64]
        ]
        (folder / f"{name}.txt").write_text("\n\n".join(tagged) + "\n", encoding="utf-8")
    (folder / "hypotheses.txt").write_text("\n".join(lines[:3]), encoding="utf-8")
    _write_korean(folder, lines)
    _write_checkpoint(folder / "electra_small")
    # A configuration of the reader's own.
    settings = {"train_file": ["texts/*.txt"], "tokenizer_name": "hub/electra", "packing": "full"}
    (folder / "my.yaml").write_text(json.dumps({**settings, "output_dir": "outputs/my"}), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"), model_prefix=str(folder / "model"), vocab_size=200, minloglevel=2
    )
    for split in ("train/unsup", "train/pos", "train/neg", "test/pos", "test/neg"):
        (folder / "aclImdb" / split).mkdir(parents=True)
        for n, line in enumerate(lines[:80]):
            (folder / "aclImdb" / split / f"{n}_5.txt").write_text(line, encoding="utf-8")


def _write_korean(folder: Path, lines: list[str]) -> None:
    """Namuwiki in WikiText's form, and petitions: a line of JSON each."""
    (folder / "ko_namuwiki").mkdir()
    articles = "".join(f" = {n} = \n\n {line} \n {line} \n\n" for n, line in enumerate(lines[:200]))
    for part in ("train", "dev"):
        (folder / "ko_namuwiki" / f"namuwikitext_20200302.{part}.sample").write_text(articles, encoding="utf-8")
    (folder / "ko_petitions").mkdir()
    rows = [json.dumps({"title": str(n), "content": f"{line} {line}"}) for n, line in enumerate(lines[:200])]
    (folder / "ko_petitions" / "petitions_2017-08").write_text("\n".join(rows), encoding="utf-8")


def _write_checkpoint(folder: Path) -> None:
    """A checkpoint of TensorFlow under the name of google-research/electra's small one."""
    folder.mkdir()
    for file in (ROOT / "tests" / "models" / "tf_checkpoint" / "data" / "google").iterdir():
        shutil.copy(file, folder / file.name.replace("ckpt-1234", "ckpt-1000000"))


def make_hub(folder: Path, run: Path) -> None:
    """Models under the names of `HUB`, with the tokenizer of a run that was made before."""
    shutil.copytree(run, folder / "hub" / "electra")
    vocabulary = ElectraConfig.from_pretrained(run).vocab_size
    sizes = {"vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    models = {
        "bert": BertForMaskedLM(BertConfig(**sizes, intermediate_size=64)),
        "roberta": RobertaForMaskedLM(
            RobertaConfig(**sizes, intermediate_size=64, pad_token_id=0, max_position_embeddings=513)
        ),
    }
    for name, model in models.items():
        model.save_pretrained(folder / "hub" / name)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(run / file, folder / "hub" / name)


def why_not(words: list[str]) -> str | None:
    """Why a command is not run; None if it is."""
    for first, reason in NOT_RUN.items():
        if all(
            word.startswith(start) if start.endswith("/") else word == start
            for word, start in zip(words, first, strict=False)
        ):
            return reason
    return next((reason for word, reason in ELSEWHERE.items() if word in words), None)


def reduced(words: list[str]) -> list[str]:
    """The same command, small, offline and on one process."""
    words = [HUB.get(word, word) for word in without_launcher(words)]
    if words[0] == "electra-hf":
        return _console(words)
    if "--config" in words and words[words.index("--config") + 1].startswith("outputs/"):
        return words  # repeats a run that was made small
    return _pretraining(words) if words[0] == "run_pretraining.py" else _finetuning(words)


def without_launcher(words: list[str]) -> list[str]:
    """A script with its options, or a command of the console."""
    if words[0] == "electra-hf":
        return words
    return words[next(i for i, word in enumerate(words) if word.startswith("run_")) :]


def _console(words: list[str]) -> list[str]:
    if words[1:3] == ["tokenizer", "train"]:
        return [*words, "--vocab_size", "400", "--disable_tqdm"]
    if words[1:3] == ["tokenizer", "inspect"]:
        return [*_local_text(words), "--disable_tqdm"]
    if words[1] == "prepare" and "--inspect" not in words:
        words = [*_local_text(words), "--validation_split_percentage", "20", "--disable_tqdm"]
    return words


def _local_text(words: list[str]) -> list[str]:
    """Named corpora are texts of this world, unless they are read from files or embedded."""
    kept, taken = [], False
    for word in words:
        if word.startswith("--"):
            taken = word == "--corpus"
        if not taken:
            kept.append(word)
        elif "=" in word or word in ("none", "python-docs"):
            kept += ["--corpus", word]
    return kept if "--train_file" in kept or "--corpus" in kept else [*kept, "--train_file", "texts/*.txt"]


def _pretraining(words: list[str]) -> list[str]:
    extra = list(PRETRAINING)
    if "--prepared_dir" in words:
        # The folder has its tokenizer; recipes name one of the Hub.
        extra += ["--tokenizer_name", words[words.index("--prepared_dir") + 1]]
        extra += ["--dataset_name", "none", "--dataset_config_name", "none"]
    else:
        words = _local_text(words)
        extra += ["--dataset_name", "none", "--dataset_config_name", "none"]
        if "--corpus" not in words:
            extra += ["--corpus", "none"]
    if "--model_name_or_path" in words:
        extra += ["--max_seq_length", str(_longest(words, 128))] if _longest(words, 128) < 128 else []
    else:
        small = SIZES if _family(words) in ("bert", "roberta") else f"embedding_size=32,{SIZES}"
        extra += ["--config_overrides", small]
        if "--train_tokenizer" not in words and "--prepared_dir" not in words:
            extra += ["--tokenizer_name", "hub/electra"]
    if "--train_tokenizer" in words:
        extra += ["--vocab_size", "400"]
    if "--hpo" in words:
        extra += ["--hpo_trials", "2"]
    return [*words, *extra]


def _family(words: list[str]) -> str:
    if "configs/pretraining/bert-mlm-nsp-ko.yaml" in words:
        return "bert"
    return words[words.index("--model_type") + 1] if "--model_type" in words else "electra"


def _longest(words: list[str], at_most: int) -> int:
    """A length that the model can read: the imported checkpoint is of the tests, and very small."""
    file = Path(words[words.index("--model_name_or_path") + 1], "config.json")
    return (
        min(at_most, json.loads(file.read_text(encoding="utf-8"))["max_position_embeddings"])
        if file.is_file()
        else at_most
    )


def _finetuning(words: list[str]) -> list[str]:
    """The reader's own files stand for those of a published task."""
    tags, kept = words[0] == "run_ner.py", []
    for index, word in enumerate(words):
        if words[index - 1] in ("--task_name", "--data_dir") or word in ("--task_name", "--data_dir"):
            continue
        kept.append(word)
    suffix = "txt" if tags else "csv"
    files = [item for split in ("train", "dev") for item in (f"--{_SPLIT[split]}_file", f"{split}.{suffix}")]
    if "--do_predict" in kept:
        files += ["--test_file", f"test.{suffix}"]
    seeds = ["--num_seeds", "2"] if "--num_seeds" in kept else []
    trials = ["--hpo_trials", "2"] if "--hpo" in kept else []
    length = ["--max_seq_length", str(_longest(kept, 64))]
    return [*kept, *(["--task_name", "ner"] if tags else []), *files, *FINETUNING, *length, *seeds, *trials]


_SPLIT = {"train": "train", "dev": "validation"}
