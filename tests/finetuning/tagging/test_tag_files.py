"""Formats of tagged files, with the traps of the real ones."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from electra_hf.errors import UsageError
from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.data import TaggingData
from electra_hf.finetuning.tagging.loading import load_tagging

Write = Callable[..., str]
CONLL = """-DOCSTART- -X- -X- O

EU NNP I-NP I-ORG
rejects VBZ I-VP O
German JJ I-NP I-MISC
call NN I-NP O

Peter NNP I-NP I-PER
Blackburn NNP I-NP I-PER
Mary NNP I-NP B-PER
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file and gives its path."""

    def writer(name: str, content: str | bytes | list) -> str:
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return str(tmp_path / name)

    return writer


def load(path: str, task: str | None = None, **options: object) -> TaggingData:
    """Both splits from one file, so that no sentence is held out."""
    arguments = TaggingArguments(task_name=task, train_file=path, validation_file=path, **options)  # type: ignore[arg-type]
    return load_tagging(task, arguments)


def units(data: TaggingData, row: int = 0) -> list[tuple[str, str]]:
    """Units of a training sentence with their tags."""
    example = data.splits["train"][row]
    pieces = [example["text"][start:end] for start, end in zip(example["starts"], example["ends"], strict=True)]
    return list(zip(pieces, [data.labels[tag] for tag in example["tags"]], strict=True))


def test_conll_2003_is_iob1_and_has_documents(write: Write):
    data = load(write("eng.train", CONLL))
    assert units(data) == [("EU", "B-ORG"), ("rejects", "O"), ("German", "B-MISC"), ("call", "O")]
    assert units(data, 1) == [("Peter", "B-PER"), ("Blackburn", "I-PER"), ("Mary", "B-PER")]
    assert data.splits["train"][0]["text"] == "EU rejects German call"
    assert data.labels == ("O", "B-MISC", "I-MISC", "B-ORG", "I-ORG", "B-PER", "I-PER")
    assert (data.scheme, data.unit, data.task.name) == ("IOB2", "word", "ner")
    assert data.notes == ("The tags of train are IOB1; IOB2 is learnt.",)


def test_bioes_can_be_learnt(write: Write):
    data = load(write("eng.train", CONLL), tag_scheme="BIOES")
    assert [tag for _, tag in units(data, 1)] == ["B-PER", "E-PER", "S-PER"]
    assert data.labels[:5] == ("O", "B-MISC", "I-MISC", "E-MISC", "S-MISC") and data.scheme == "BIOES"


def test_any_column_has_the_tags(write: Write):
    path = write("eng.train", CONLL)
    pos = load(path, "pos", label_column_name="1")
    assert pos.labels == ("JJ", "NN", "NNP", "VBZ") and pos.scheme == "plain"
    assert units(pos) == [("EU", "NNP"), ("rejects", "VBZ"), ("German", "JJ"), ("call", "NN")]
    chunk = load(path, "chunk", label_column_name="-2")
    assert [tag for _, tag in units(chunk)] == ["B-NP", "B-VP", "B-NP", "I-NP"]
    with pytest.raises(UsageError, match="4 columns"):
        load(path, label_column_name="4")
    with pytest.raises(UsageError, match="number, from 0"):
        load(path, label_column_name="ner")


def test_line_ends_marks_spaces_and_missing_ends_do_not_matter(write: Write, tmp_path: Path):
    plain = load(write("plain.txt", "a B-X\nb O\n\nc O\n"))
    variants = {
        "crlf.txt": b"a B-X\r\nb O\r\n\r\nc O\r\n",
        "bom.txt": b"\xef\xbb\xbfa B-X\nb O\n\nc O\n",
        "no_end.txt": b"a B-X\nb O\n\nc O",
        "blank.txt": b"\n \na  B-X\nb O \n  \n\nc O\n\n\n",
        "tab.txt": b"a\tB-X\nb\tO\n\t\nc\tO\n",
        "docstart.txt": b"-DOCSTART- O\na B-X\nb O\n-DOCSTART- O\nc O\n",
    }
    for name, content in variants.items():
        assert load(write(name, content)).splits["train"][:] == plain.splits["train"][:], name
    packed = write("packed.conll.gz", gzip.compress(b"a B-X\nb O\n\nc O\n"))
    assert load(packed).splits["train"][:] == plain.splits["train"][:]
    korean = write("cp949.txt", "서울 B-LC\n은 O\n".encode("cp949"))
    assert units(load(korean, encoding="cp949")) == [("서울", "B-LC"), ("은", "O")]


def test_odd_characters_are_parts_of_tokens(write: Write):
    tokens = ["a\u0085b", "\u2028", "c\u00a0d", "#", '"', "\u200b", "\x0c"]
    path = write("emerging.conll", "".join(f"{token}\t{'B-x' if token == '#' else 'O'}\n" for token in tokens))
    assert [token for token, _ in units(load(path))] == tokens


def test_comments_are_lines_of_another_width(write: Write):
    path = write("x.conll", "# id = 1\n#tag\tO\nx\tB-x\n\n# text\n#\tO\n")
    assert [units(load(path), row) for row in (0, 1)] == [[("#tag", "O"), ("x", "B-x")], [("#", "O")]]


def test_conllu(write: Write):
    rest = "_\t_\t_\t_\t_"
    lines = [
        "# text = Vámonos.",
        f"1-2\tVámonos\t_\t_\t{rest}\tSpaceAfter=No",
        f"1\tVamos\tir\tVERB\t{rest}\t_",
        f"2\tnos\tnosotros\tPRON\t{rest}\tSpaceAfter=No",
        f"2.1\tx\tx\tX\t{rest}\t_",
        f"3\t.\t.\tPUNCT\t{rest}\t_",
    ]
    data = load(write("es.conllu", "\n".join(lines) + "\n\n"), "pos")
    assert units(data) == [("Vamos", "VERB"), ("nos", "PRON"), (".", "PUNCT")]
    assert data.splits["train"][0]["text"] == "Vamos nos."


KLUE = """## 토큰, 레이블 구분자 : \\t
## 컬럼명 : CHAR\tNE_TAG
## dev_0\t<한국:LC> 의 # <두산:OG><곰:PS>
한\tB-LC
국\tI-LC
 \tO
의\tO
 \tO
#\tO
 \tO
두\tB-OG
산\tI-OG
곰\tB-PS

## dev_1\t<a<b:QT>>
a\tB-QT
<\tI-QT
b\tI-QT
"""


def test_klue_characters_and_spaces(write: Write):
    path = write("train.tsv", KLUE.replace("<a<b:QT>>", "<a<b:QT>"))
    data = load(path)
    assert data.unit == "character" and len(data.splits["train"]) == 2
    example = data.splits["train"][0]
    assert (example["text"], example["idx"]) == ("한국 의 # 두산곰", "dev_0")
    assert [token for token, _ in units(data)] == list("한국 의 # 두산곰")
    assert data.labels[1::2] == ("B-LC", "B-OG", "B-PS", "B-QT")
    with pytest.raises(UsageError, match="--label_unit word"):
        load(path, label_unit="word")


def test_naver_sentences_have_suffixes(write: Write):
    lines = "나아가 한 스트로크를\tO NUM-B NUM-I\n이우식이 받은\tPER-B -\n\n"
    data = load(write("naver.tsv", lines))
    assert units(data) == [("나아가", "O"), ("한", "B-NUM"), ("스트로크를", "I-NUM")]
    assert units(data, 1) == [("이우식이", "B-PER"), ("받은", "O")]
    assert "train: naver.tsv: 1 sentence is empty (the first: line 3), and left out." in data.notes
    assert "The tags of train are IOB2, written as PER-B; IOB2 is learnt." in data.notes


def test_rows_of_tokens_and_tags(write: Write):
    rows = [
        {"id": "a", "tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]},
        {"id": "b", "tokens": [], "ner_tags": []},
        {"id": "c", "tokens": ["x"], "ner_tags": ["O"]},
    ]
    data = load(write("rows.jsonl", rows))
    assert units(data) == [("EU", "B-ORG"), ("rejects", "O")]
    assert data.splits["train"]["idx"][:] == ["a", "c"]
    assert any("line 2: no tokens, left out" in note for note in data.notes)
    same = load(write("rows.json", json.dumps(rows)))
    assert same.splits["train"][:] == data.splits["train"][:]


def test_tokens_that_are_characters_are_found_by_their_spaces(write: Write):
    rows = [{"tokens": list("가나 다"), "tags": ["B-X", "I-X", "O", "O"]}]
    assert load(write("rows.jsonl", rows)).unit == "character"
    path = write("chinese.txt", "北 B-LOC\n京 I-LOC\n的 O\n")
    assert load(path).splits["train"][0]["text"] == "北 京 的"
    characters = load(path, label_unit="character")
    assert (characters.unit, characters.splits["train"][0]["text"]) == ("character", "北京的")


def test_an_unlabelled_test_file(write: Write):
    path = write("train.txt", "a B-X\nb O\n")
    for name, content in (("test.txt", "a\nb\n\nc\n"), ("test.jsonl", '{"tokens": ["a"]}\n')):
        arguments = TaggingArguments(train_file=path, validation_file=path, test_file=write(name, content))
        data = load_tagging(None, arguments)
        assert data.splits["test"].column_names == ["text", "starts", "ends", "idx"]
        assert data.evaluated == ["validation"]


def test_types_alone_are_io_if_that_is_said(write: Write):
    path = write("io.txt", "Peter PER\nBlackburn PER\nx O\n")
    data = load(path, source_scheme="IO")
    assert [tag for _, tag in units(data)] == ["B-PER", "I-PER", "O"]
