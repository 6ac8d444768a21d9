"""`electra-hf tokenizer`, from the command line to the folder."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from electra_hf.cli import run
from electra_hf.errors import TokenizerError, UsageError

TEXT = "\n\n".join(f"The river number {index} is long and old\nIt sings over small stones" for index in range(60))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def text(tmp_path: Path) -> str:
    (tmp_path / "text.txt").write_text(TEXT)
    return str(tmp_path / "text.txt")


def train(text, folder, *options):
    run(
        ["tokenizer", "train", "--train_file", text, "--output_dir", str(folder), "--disable_tqdm", *map(str, options)]
    )


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe"])
def test_train_writes_one_file_and_shows_what_it_learnt(text, tmp_path, capsys, kind):
    train(text, tmp_path / "out", "--kind", kind, "--vocab_size", 128, "--max_seq_length", 64)
    shown = capsys.readouterr().out
    for expected in ("tokens in the vocabulary │ 128", "tokens per word", " | ", f"Saved    {tmp_path / 'out'}"):
        assert expected in shown
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"tokenizer.json", "tokenizer_config.json"}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert (len(tokenizer), tokenizer.model_max_length) == (128, 64)
    assert tokenizer.convert_ids_to_tokens(range(5)) == SPECIAL
    assert ("the" in tokenizer.get_vocab()) == (kind == "wordpiece")  # only WordPiece folds case by default


def test_options_can_come_from_a_file(text, tmp_path):
    (tmp_path / "tokenizer.yaml").write_text("kind: bpe\nvocab_size: 192\ndo_lower_case: true\nnormalization: nfkc\n")
    train(text, tmp_path / "out", "--config", tmp_path / "tokenizer.yaml", "--vocab_size", "128")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert len(tokenizer) == 128
    assert tokenizer.tokenize("The River") == tokenizer.tokenize("the river")


def test_progress_of_the_reading_is_shown(text, tmp_path, capsys):
    run(
        [
            "tokenizer",
            "train",
            "--kind",
            "bpe",
            "--vocab_size",
            "128",
            "--train_file",
            text,
            "--output_dir",
            str(tmp_path / "a"),
        ]
    )
    assert " characters" in capsys.readouterr().err


def test_a_tokenizer_is_replaced_only_when_asked(text, tmp_path):
    train(text, tmp_path / "out", "--kind", "bpe", "--vocab_size", "128")
    before = (tmp_path / "out" / "tokenizer.json").read_bytes()
    with pytest.raises(UsageError, match=r"holds a tokenizer already \(tokenizer.json\).*--overwrite_output_dir"):
        train(text, tmp_path / "out", "--kind", "unigram", "--vocab_size", "128")
    with pytest.raises(UsageError, match="holds a tokenizer already"):
        run(["tokenizer", "import", text, "--output_dir", str(tmp_path / "out")])
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == before
    train(text, tmp_path / "out", "--kind", "unigram", "--vocab_size", "128", "--overwrite_output_dir")
    assert json.loads((tmp_path / "out" / "tokenizer.json").read_bytes())["model"]["type"] == "Unigram"


def test_import_of_a_bare_vocabulary(tmp_path, capsys):
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, "river", "é", "e"]))
    command = ["tokenizer", "import", str(tmp_path / "vocab.txt"), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(TokenizerError, match="--do_lower_case true"):
        run(command)
    run([*command, "--do_lower_case", "true", "--strip_accents", "false", "--max_seq_length", "96"])
    shown = capsys.readouterr().out
    assert "Tokens   8\n" in shown and "Special  pad [PAD]=0  unk [UNK]=1  cls [CLS]=2" in shown
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.tokenize("River É") == ["river", "é"]
    assert tokenizer.model_max_length == 96


def test_import_needs_the_special_tokens(text, tmp_path):
    train(text, tmp_path / "out", "--kind", "bpe", "--vocab_size", "128")
    config = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    del config["mask_token"]
    (tmp_path / "out" / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(TokenizerError, match="has no mask_token"):
        run(["tokenizer", "import", str(tmp_path / "out"), "--output_dir", str(tmp_path / "other")])
    assert not (tmp_path / "other").exists()


def test_inspect_shows_numbers_unknown_characters_and_lines(text, tmp_path, capsys):
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, "the", "river", "number", "sing", "##s", "it"]))
    command = ["tokenizer", "inspect", str(tmp_path / "vocab.txt"), "--do_lower_case", "true", "--train_file", text]
    run([*command, "--disable_tqdm", "--num_examples", "1"])
    shown = capsys.readouterr().out
    assert "unknown tokens" in shown and "o U+006F" in shown and "words in one token" in shown
    assert shown.splitlines()[-1].count(" | ") > 3
    with pytest.raises(UsageError, match="--sample_characters must be at least 1"):
        run([*command, "--sample_characters", "0"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no command: give train, import or inspect"),
        (["sing"], "unknown command 'sing'"),
        (["import"], r"import: SOURCE .* comes first"),
        (["inspect", "--train_file", "x"], r"inspect: TOKENIZER .* comes first"),
        (["train", "--kind", "bpe", "--corpus", "python-docs"], "output_dir"),
        (["train", "--output_dir", "out", "--kind", "letters"], "invalid choice: 'letters'"),
        (["train", "--output_dir", "out", "--vocab_sizes", "9"], "did you mean 'vocab_size'"),
        (["train", "--output_dir", "out"], "no training text was named"),
        (["train", "--output_dir", "out", "--max_seq_length", "0"], "--max_seq_length 0"),
        (["train", "--output_dir", __file__, "--corpus", "python-docs"], "is a file: name a folder"),
    ],
)
def test_wrong_usage(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        run(["tokenizer", *arguments])


def test_help_names_the_commands(capsys):
    run(["tokenizer", "--help"])
    assert "electra-hf tokenizer import SOURCE --output_dir DIR\n" in capsys.readouterr().out
    for command in ("train", "import", "inspect"):
        with pytest.raises(SystemExit) as caught:
            run(["tokenizer", command, "--help"])
        assert caught.value.code == 0
    assert "--sample_characters" in capsys.readouterr().out


def test_folder_that_cannot_be_written(text, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TokenizerError, match="Not a directory"):
        train(text, tmp_path / "file" / "out", "--kind", "bpe", "--vocab_size", "128")
