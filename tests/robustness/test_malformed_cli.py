"""`electra-hf` with arguments and folders that cannot work."""

import json
from pathlib import Path

import pytest
from malformed import Cases, Kit, Maker, check, options, run, write

SCORES = {"task": "sst2", "seeds": [1]}


def scores(*contents: str) -> Maker:
    """`compare` of runs with these eval_results.json."""

    def make(folder: Path, _: Kit):
        for number, content in enumerate(contents):
            (folder / f"run{number}").mkdir()
            (folder / f"run{number}" / "eval_results.json").write_text(content)
        return ("compare", *(folder / f"run{number}" for number in range(len(contents))))

    return make


def history(content: str) -> Maker:
    """`curves` of a run with this trainer_state.json."""

    def make(folder: Path, _: Kit):
        (folder / "trainer_state.json").write_text(content)
        return ("curves", folder)

    return make


def a_run_with_a_broken_configuration(folder: Path, _: Kit):
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": [{"step": 1, "loss": 1.0}]}))
    (folder / "config.json").write_text("{")
    return ("curves", folder)


def a_submission(content: str, name: str = "SST-2.tsv") -> Maker:
    def make(folder: Path, _: Kit):
        (folder / "submission").mkdir()
        (folder / "submission" / name).write_text(content)
        return ("submission", folder, "--output", folder.parent / "out", "--allow_missing")

    return make


def prepare(*more: object) -> Maker:
    def make(folder: Path, kit: Kit):
        sound = ("--train_file", kit.corpus, "--tokenizer_name", kit.tokenizer, "--output_dir", folder.parent / "out")
        return ("prepare", *sound, "--max_seq_length", 16, "--num_workers", 1, "--disable_tqdm", *more)

    return make


def train(*more: object) -> Maker:
    def make(folder: Path, kit: Kit):
        return (
            *("tokenizer", "train", "--train_file", kit.corpus, "--output_dir", folder.parent / "out"),
            *("--disable_tqdm", "--vocab_size", 128, *more),
        )

    return make


CASES: Cases = {
    "tokenizer of nothing": (options("tokenizer"), 2, ("no command", "train, import or inspect")),
    "tokenizer of something": (options("tokenizer", "paint"), 2, ("'paint'", "train, import or inspect")),
    "import of nothing": (options("tokenizer", "import"), 2, ("SOURCE", "comes first")),
    "import to nowhere": (lambda _, kit: ("tokenizer", "import", kit.tokenizer), 2, ("--output_dir",)),
    "import over another": (
        lambda _, kit: ("tokenizer", "import", kit.tokenizer, "--output_dir", kit.tokenizer),
        2,
        ("holds a tokenizer already", "--overwrite_output_dir"),
    ),
    "import into a file": (
        lambda folder, kit: (
            *("tokenizer", "import", kit.tokenizer, "--output_dir"),
            *write("out.txt", "")(folder, kit),
        ),
        2,
        ("out.txt is a file",),
    ),
    "inspect of nothing": (options("tokenizer", "inspect"), 2, ("TOKENIZER", "comes first")),
    "inspect without text": (lambda _, kit: ("tokenizer", "inspect", kit.tokenizer), 2, ("--train_file",)),
    "training of no tokens": (train("--vocab_size", 0), 2, ("vocab_size 0",)),
    "training below 0": (train("--vocab_size", -5), 2, ("vocab_size -5",)),
    "training of too few": (train("--vocab_size", 3, "--pad_to_multiple_of", 1), 1, ("3",)),
    "training of no kind": (train("--kind", "sentences"), 2, ("sentences", "wordpiece")),
    "training with half the characters": (train("--kind", "bpe", "--character_coverage", 7), 2, ("coverage",)),
    "training of multiples of 0": (train("--pad_to_multiple_of", 0), 2, ("pad_to_multiple_of",)),
    "training on nothing": (train("--train_file", "none"), 2, ("--train_file",)),
    "training of a length of 0": (train("--max_seq_length", 0), 2, ("--max_seq_length 0",)),
    "training on less than 0": (train("--sample_characters", -1), 2, ("sample_characters",)),
    "training on bytes": (train("--limit_alphabet", -3), 2, ("limit_alphabet",)),
    "prepare nothing": (options("prepare"), 2, ("--output_dir",)),
    "prepare without a tokenizer": (
        lambda folder, kit: ("prepare", "--train_file", kit.corpus, "--output_dir", folder.parent / "out"),
        2,
        ("--tokenizer_name",),
    ),
    "prepare without text": (prepare("--train_file", "none"), 2, ("--train_file",)),
    "prepare with no workers": (prepare("--num_workers", 0), 2, ("num_workers",)),
    "prepare with less than none": (prepare("--num_workers", -2), 2, ("num_workers",)),
    "prepare nothing at all": (prepare("--max_seq_length", 1), 2, ("max_seq_length: 1", "choose 5")),
    "prepare with an unknown option": (prepare("--sead", 1), 2, ("'--sead'", "did you mean 'seed'")),
    "prepare on no cluster": (prepare("--executor", "slurm"), 2, ("--slurm_partition",)),
    "prepare with no tasks": (prepare("--executor", "local", "--num_tasks", 0), 2, ("num_tasks",)),
    "inspect no blocks": (prepare("--inspect", "--num_inspected", 0), 2, ("--num_inspected 0",)),
    "prepare in a file": (
        lambda folder, kit: (*prepare()(folder, kit), "--output_dir", kit.tokenizer / "tokenizer.json"),
        1,
        ("tokenizer.json",),
    ),
    "compare nowhere": (options("compare", "./a", "./b"), 1, ("a", "eval_results.json")),
    "compare empty files": (scores("", ""), 1, ("eval_results.json",)),
    "compare broken files": (scores("{", "{"), 1, ("eval_results.json",)),
    "compare lists": (scores("[]", "[]"), 1, ("eval_results.json",)),
    "compare objects": (scores("{}", "{}"), 1, ("eval_results.json",)),
    "compare words": (scores(json.dumps(SCORES), json.dumps(SCORES)), 1, ("eval_results.json",)),
    "detect nowhere": (options("detect", "./nowhere", "--text", "w1"), 1, ("./nowhere",)),
    "detect nothing": (lambda _, kit: ("detect", kit.model), 1, ("model", "--text")),
    "detect in no file": (lambda _, kit: ("detect", kit.model, "--file", "no.txt"), 1, ("no.txt",)),
    "detect in an empty file": (
        lambda folder, kit: ("detect", kit.model, *write("t.txt", "", "--file")(folder, kit)),
        1,
        ("t.txt",),
    ),
    "detect in a binary file": (
        lambda folder, kit: ("detect", kit.model, *write("t.txt", b"\xff\xfe\xfd", "--file")(folder, kit)),
        1,
        ("t.txt", "UTF-8"),
    ),
    "detect none": (lambda _, kit: ("detect", kit.model, "--num", 0), 2, ("--num 0",)),
    "curves nowhere": (options("curves", "./nowhere"), 1, ("nowhere",)),
    "curves of a broken state": (history("{"), 1, ("trainer_state.json",)),
    "curves of a list": (history("[]"), 1, ("trainer_state.json",)),
    "curves of words": (history('{"log_history": ["loss"]}'), 1, ("trainer_state.json",)),
    "curves with a broken configuration": (a_run_with_a_broken_configuration, 1, ("config.json",)),
    "submission of nothing": (lambda folder, _: ("submission", folder, "--output", "out"), 2, ("submission/*.tsv",)),
    "submission of words": (a_submission("w1\n"), 1, ("SST-2.tsv", "first line")),
    "submission of too few": (a_submission("index\tprediction\n0\t1\n"), 1, ("SST-2.tsv", "1 rows")),
}


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_command_of_the_package(name: str, kit: Kit, tmp_path: Path):
    check("electra-hf", (), CASES[name], kit, tmp_path)


@pytest.mark.parametrize("words", [(), ("paint",), ("compare",), ("curves",), ("detect", "--num", "many", "x")])
def test_what_argparse_refuses(words: tuple[str, ...]):
    ended = run("electra-hf", *words)
    assert ended.code == 2 and "usage:" in ended.stderr
