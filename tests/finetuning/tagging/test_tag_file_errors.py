"""What can be wrong with tagged files: each is named with its file and line, or repaired and counted."""

import json
from pathlib import Path

import pytest

from electra_hf.errors import CorpusError, UsageError
from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.data import TaggingData
from electra_hf.finetuning.tagging.loading import load_tagging


def load(folder: Path, train: str | bytes, validation: str | bytes = b"", **options: object) -> TaggingData:
    name = str(options.pop("name", "train.txt"))
    paths = {}
    for split, content in (("train", train), ("validation", validation or train)):
        path = folder / f"{split}_{name}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        paths[f"{split}_file"] = str(path)
    arguments = TaggingArguments(**paths, **options)  # type: ignore[arg-type]
    return load_tagging(arguments.task_name, arguments)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tO\nb\tB-X\textra\nc\tO\n", "train_train.txt, line 2: 3 columns where the file has 2"),
        ("a\tO\nb\tc\tB-X\nc\tO\nd\tO\n", "line 2: 3 columns where the file has 2: remove tabs from inside the token"),
        ("a\tB-X\nb\nc\tO\n", "line 2: 1 column where the file has 2: write all columns, with a tab"),
        ("a B-X\nb  c O\nd O\n", "line 2: 3 columns where the file has 2"),
        ("a\tB-X\n\tO\nc\tO\n", "line 2: the token is empty"),
        ("a\tB-X\nb\t\nc\tO\n", "line 2: the tag is empty"),
        ("a B-X\n\nb PER\n", "line 3: tag 'PER' has no prefix"),
        ("a B-X\n\nb Q-PER\n", "line 3: tag 'Q-PER' has the prefix 'Q'"),
        ("a O\nb B-\nc B-X\n", "line 2: tag 'B-' has no type"),
        ("a O\nb PER\n", "line 2: tag 'PER' has no prefix .* --source_scheme IO.* --task_name pos"),
        ("a O\nb O\n", "there is no entity in it"),
        ("\n\n", "there is no sentence in it"),
        ("-DOCSTART- O\n\n", "there is no sentence in it"),
        ("", "there is no sentence in it"),
        ("a\nb\n", "one column, so there are no tags"),
        ("서울 B-LC\n".encode() + "은 O\n".encode("cp949"), "line 2, byte offset 12: .* are not utf-8"),
    ],
)
def test_columns(tmp_path: Path, content: str | bytes, message: str):
    with pytest.raises(CorpusError, match=message):
        load(tmp_path, content)


def test_types_that_training_does_not_have(tmp_path: Path):
    with pytest.raises(CorpusError, match=r"validation_train.txt, line 3: the type 'LOC' does not occur .* PER"):
        load(tmp_path, "a B-PER\n", "a B-PER\n\nb I-LOC\n")
    with pytest.raises(CorpusError, match=r"validation_train.txt, line 2: tag 'X' does not occur"):
        load(tmp_path, "a N\nb V\n", "a N\nb X\n", task_name="pos")


def test_i_after_o_is_repaired_and_counted(tmp_path: Path):
    data = load(tmp_path, "a B-PER\nb O\nc I-PER\nd I-LOC\ne B-LOC\n\nf B-PER\n", "a B-PER\n")
    assert [data.labels[tag] for tag in data.splits["train"][0]["tags"]] == ["B-PER", "O", "B-PER", "B-LOC", "B-LOC"]
    repairs = [note for note in data.notes if "repaired" in note]
    assert len(repairs) == 1
    assert repairs[0].startswith("train: 2 of 6 tags do not follow IOB2")
    assert repairs[0].endswith("train_train.txt, line 3: I-PER where IOB2 has B-PER).")


def test_broken_bioes_is_repaired_and_counted(tmp_path: Path):
    data = load(tmp_path, "a B-X\nb I-X\nc O\nd B-X\n\ne S-X\n", "a S-X\n", tag_scheme="BIOES")
    tags = [data.labels[tag] for tag in data.splits["train"][0]["tags"]]
    assert tags == ["B-X", "E-X", "O", "S-X"]
    assert "train: 2 of 5 tags do not follow BIOES" in "".join(data.notes)


def test_the_scheme_can_be_said(tmp_path: Path):
    data = load(tmp_path, "a I-X\nb B-X\nc O\nd B-X\n", source_scheme="IOB1")
    assert "The tags of train are IOB1 by --source_scheme; IOB2 is learnt." in data.notes
    assert "line 4: B-X where IOB1 has I-X" in "".join(data.notes)
    assert [data.labels[tag] for tag in data.splits["train"][0]["tags"]] == ["B-X", "B-X", "O", "B-X"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("## i\t<가:PS>나\n가\tB-PS\n다\tO\n", "line 1: the characters and tags below are not those of this text"),
        ("## i\t<가:PS>나\n가\tB-LC\n나\tO\n", "line 1: the characters and tags below"),
        ("## i\t<가:PS>\n가나\tB-PS\n", "line 2: '가나"),
        ("## i\t<가:PS>\n가 B-PS\n", "line 2: '가 B-PS' instead of a character, a tab and its tag"),
        ("## i\t<가:PS>\n가\tB-PS\n\n나\tO\n", "line 4: characters without a `## id` line"),
    ],
)
def test_klue(tmp_path: Path, content: str, message: str):
    with pytest.raises(CorpusError, match=message):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("가 나\tO PER-B\n다 라\tO\n", "line 2: 2 words and 1 tags"),
        ("가 나\tO PER-B\n다\t라\tO O\n", "line 2: 2 tabs"),
        ("가 나\tO PER-B\n다 라\n", "line 2: no tab and no tags"),
    ],
)
def test_naver(tmp_path: Path, content: str, message: str):
    with pytest.raises(CorpusError, match=message):
        load(tmp_path, content, file_format="naver")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, "line 2: 2 tokens and 1 tags"),
        ({"tokens": ["a"], "tags": [3]}, "line 2: tag 3 in column 'tags' has no name: numbers need names"),
        ({"tokens": ["a"], "tags": None}, "line 2: no tags in column 'tags'"),
        ({"tokens": ["a"], "tags": "O"}, "line 2: column 'tags' holds a str instead of a list"),
        ({"tokens": ["a", ""], "tags": ["O", "O"]}, "line 2: token 2 is empty"),
        ({"tokens": None, "tags": []}, "line 2: column 'tokens' holds nothing instead of a list"),
        ({"tokens": ["a", "b"], "tags": ["O", "PER"]}, "line 2, token 2: tag 'PER' has no prefix"),
    ],
)
def test_rows(tmp_path: Path, row: dict, message: str):
    rows = [{"tokens": ["a"], "tags": ["B-X"]}, row]
    with pytest.raises(CorpusError, match=message):
        load(tmp_path, "".join(json.dumps(each) + "\n" for each in rows), name="rows.jsonl")


def test_columns_that_are_not_there(tmp_path: Path):
    with pytest.raises(CorpusError, match="no column of tokens or text; found: a, b"):
        load(tmp_path, '{"a": ["x"], "b": ["O"]}\n', name="rows.jsonl")
    with pytest.raises(CorpusError, match="no column 'ner_tags'.*found: tokens, b: name the column"):
        load(tmp_path, '{"tokens": ["x"], "b": ["O"]}\n', name="rows.jsonl")


def test_characters_must_be_single(tmp_path: Path):
    with pytest.raises(CorpusError, match="line 2: '京都' is not one character"):
        load(tmp_path, "北 B-X\n京都 I-X\n", label_unit="character")


def test_options(tmp_path: Path):
    with pytest.raises(UsageError, match="no data: give --train_file"):
        load_tagging("ner", TaggingArguments())
    with pytest.raises(UsageError, match="no such task: did you mean wnut17"):
        TaggingArguments(task_name="wnut71")
    with pytest.raises(UsageError, match="needs the --task_name"):
        TaggingArguments(data_dir=str(tmp_path))
    with pytest.raises(UsageError, match="language|choose one"):
        load_tagging("wikiann", TaggingArguments(task_name="wikiann"))
    with pytest.raises(UsageError, match="comma-separated"):
        load(tmp_path, "a,O\n", name="rows.csv")
