"""Data of one's own: every format and kind of label, and what can be wrong with them."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from electra_hf.errors import CorpusError, UsageError
from electra_hf.finetuning.tasks import TaskArguments, TaskData, load_task

CSV = 'text,label\n"one, ""two""\nthree",spam\nfour,ham\nfive,spam\nsix,ham\n'


def load(**options: object) -> TaskData:
    return load_task(None, TaskArguments(**options))  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path):
    """Writes a file and gives its path."""

    def write(name: str, content: str | list[dict]) -> str:
        text = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


def test_csv_is_quoted(file):
    path = file("train.csv", CSV)
    data = load(train_file=path, validation_file=path)
    assert data.splits["train"]["text"][0] == 'one, "two"\nthree'
    assert data.labels == ("ham", "spam") and data.splits["train"]["label"][:] == [1, 0, 1, 0]
    assert (data.task.name, data.task.kind) == ("custom", "classification")
    assert data.splits["train"]["idx"][:] == ["0", "1", "2", "3"]


def test_tsv_is_not_quoted(file):
    path = file("train.tsv", 'text\tlabel\n"one\ta\ntwo"\tb\n')
    assert load(train_file=path, validation_file=path).splits["train"]["text"][:] == ['"one', 'two"']


def test_json_lines_json_and_parquet_give_the_same(file, tmp_path: Path):
    rows = [{"id": f"r{n}", "premise": f"p{n}", "hypothesis": f"h{n}", "label": n % 2} for n in range(4)]
    paths = [file("train.jsonl", rows), file("train.json", json.dumps(rows)), str(tmp_path / "train.parquet")]
    pq.write_table(pa.Table.from_pylist(rows), paths[2])
    (tmp_path / "train.jsonl.gz").write_bytes(gzip.compress(Path(paths[0]).read_bytes()))
    for path in [*paths, str(tmp_path / "train.jsonl.gz")]:
        data = load(
            train_file=path, validation_file=path, text_column_name="premise", text_pair_column_name="hypothesis"
        )
        assert data.splits["validation"][1] == {"text": "p1", "text_pair": "h1", "label": 1, "idx": "r1"}
        assert data.labels == ("0", "1")


def test_halves_of_surrogate_pairs_are_replaced(file):
    path = file("train.jsonl", '{"text": "a\\ud800b", "label": "x"}\n{"text": "\\ud83d\\ude00", "label": "y"}\n')
    assert load(train_file=path, validation_file=path).splits["train"]["text"][:] == ["a\ufffdb", "😀"]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([10, 9, 10, 9], ("9", "10")),
        (["10", "9", "-1", "9"], ("-1", "9", "10")),
        (["b", "B", "a", "a"], ("B", "a", "b")),
        ([True, False, True, True], ("false", "true")),
        (["1", " x ", "x", "1"], ("1", "x")),
    ],
)
def test_names_of_labels_come_from_the_training_rows_in_order(file, values: list, names: tuple[str, ...]):
    path = file("train.jsonl", [{"text": f"t{n}", "label": value} for n, value in enumerate(values)])
    data = load(train_file=path, validation_file=path)
    assert data.labels == names
    expected = [
        names.index(str(value).strip().lower() if isinstance(value, bool) else str(value).strip()) for value in values
    ]
    assert data.splits["train"]["label"][:] == expected


def test_class_labels_of_parquet_keep_their_order(tmp_path: Path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["zebra", "ape", "bee"])})
    Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features).to_parquet(tmp_path / "train.parquet")
    path = str(tmp_path / "train.parquet")
    data = load(train_file=path, validation_file=path)
    assert data.labels == ("zebra", "ape", "bee") and data.splits["train"]["label"][:] == [0, 1]


def test_scores_make_a_regression(file):
    path = file("train.csv", "text,score\na,0.5\nb,2\nc,-1.5\n")
    data = load(train_file=path, validation_file=path, label_column_name="score")
    assert data.task.kind == "regression" and data.num_outputs == 1
    assert data.splits["train"]["label"][:] == [0.5, 2.0, -1.5]
    assert data.notes == ("The labels in column 'score' are numbers with a point, so the task is a regression.",)
    whole = file("whole.csv", "text,label\na,1\nb,2\nc,3\n")
    data = load(train_file=whole, validation_file=whole, task_kind="regression")
    assert data.splits["train"]["label"][:] == [1.0, 2.0, 3.0]


def test_many_labels_a_row(file):
    lists = file(
        "train.jsonl",
        [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": []}, {"text": "c", "labels": ["z"]}],
    )
    data = load(train_file=lists, validation_file=lists)
    assert data.task.kind == "multi_label" and data.labels == ("x", "y", "z")
    assert data.splits["train"]["label"][:] == [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    cells = file("train.csv", "text,label\na,x; y\nb,\nc,z\n")
    same = load(train_file=cells, validation_file=cells, task_kind="multi_label", label_separator=";")
    assert same.splits["train"]["label"][:] == data.splits["train"]["label"][:]


def test_an_unlabelled_test_file(file):
    train = file("train.csv", CSV)
    for name, content in (("a.csv", "text\nx\n"), ("b.csv", "text,label\nx,\ny,\n"), ("c.csv", "text,label\nx,-1\n")):
        data = load(train_file=train, validation_file=train, test_file=file(name, content))
        assert data.splits["test"].column_names == ["text", "idx"]
        assert data.evaluated == ["validation"]
    labelled = load(train_file=train, test_file=train)
    assert labelled.evaluated == ["validation", "test"]
    assert len(labelled.splits["train"]) + len(labelled.splits["validation"]) == len(labelled.splits["test"]) == 4


def test_rows_to_predict_only(file):
    data = load_task(None, TaskArguments(test_file=file("test.csv", "text\nx\n")), needs_train=False)
    assert data.labels == () and data.splits["test"]["text"][:] == ["x"]


def test_empty_texts_are_kept_and_counted(file):
    path = file("train.jsonl", [{"text": "", "label": 0}, {"text": None, "label": 1}, {"text": "a", "label": 1}])
    data = load(train_file=path, validation_file=path)
    assert data.splits["train"]["text"][:] == ["", "", "a"]
    assert "train: 2 rows have an empty text; they are kept." in data.notes


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("text,label\n,a\n,b\n", {"text_column_name": "text"}, "column 'text' is empty in all rows"),
        (
            "body,title,label\nx,y,a\nx,y,b\n",
            {},
            r"several columns could be the text \(body, title\).*--text_column_name",
        ),
        ("a,label\n1,x\n2,y\n", {}, "no column of text; found: a, label"),
        (
            "text,lable\nx,a\ny,b\n",
            {},
            r"no column 'label' \(did you mean 'lable'\?\); found: text, lable: .*--label_column_name",
        ),
        ("text,label\nx,a\ny,b\n", {"text_column_name": "txt"}, r"no column 'txt' \(did you mean 'text'\?\)"),
        ("text,label\nx,a\ny,\nz,b\n", {}, "line 3: no label in column 'label'"),
        ("text,label\nx,a\ny,a\n", {}, "all rows have the label 'a'"),
        ("text,label\nx,0.5\ny,1\n", {"task_kind": "classification"}, "'0.5' is a score, .*--task_kind regression"),
        (
            "text,label\nx,1\ny,good\n",
            {"task_kind": "regression"},
            "line 3: label 'good' is not a number.*classification",
        ),
        ("text,label\nx,1\ny,nan\n", {"task_kind": "regression"}, "line 3: label 'nan' is not a finite number"),
        ("text,label\nx,a,b\n", {}, "line 2: 3 columns where the file has 2"),
        ('text,label\n"x,a\n', {}, "line 2: not valid CSV"),
        ("text,text,label\nx,y,a\n", {}, "2 columns 'text'"),
        ("", {}, "the file is empty"),
        ("text,label\n", {"task_kind": "regression"}, "there is no row"),
        ("text,label\n" + "".join(f"t,{n}\n" for n in range(10)), {}, "every one of the 10 rows has another label"),
    ],
)
def test_what_is_wrong_is_said(file, content: str, options: dict[str, str], message: str):
    path = file("train.csv", content)
    with pytest.raises(CorpusError, match=message):
        load(train_file=path, validation_file=path, **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a", "label": 1}\n{"text": "a"}\n', "line 2: no 'label', which the first row has"),
        ('{"text": "a", "label": 1}\n\n{"text"\n', "line 3: not valid JSON"),
        ('[{"text": "a", "label": 1}', "not valid JSON"),
        ('[{"text": 5, "label": 1}, {"text": "b", "label": 0}]', "record 1: a int instead of text"),
        ('["a"]', "record 1: a str instead of an object"),
        ("[]", "no row"),
        ('[{"text": "a", "label": [1]}, {"text": "b", "label": 0}]', "the labels of a multi-label row"),
    ],
)
def test_what_is_wrong_in_json_is_said(file, content: str, message: str):
    path = file("train.jsonl", content)
    with pytest.raises(CorpusError, match=message):
        load(train_file=path, validation_file=path, text_column_name="text")


def test_a_label_that_the_training_rows_lack(file):
    train = file("train.csv", CSV)
    other = file("dev.csv", "text,label\na,ham\nb,egg\nc,egg\n")
    with pytest.raises(
        CorpusError, match=r"dev\.csv, lines 3, 4: label 'egg' \(2 rows\) does not occur in the training"
    ):
        load(train_file=train, validation_file=other)
    with pytest.raises(CorpusError, match="does not occur in the training rows, whose labels are 'ham', 'spam'"):
        load(train_file=train, validation_file=train, test_file=other)


def test_truncated_parquet(tmp_path: Path):
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(CorpusError, match="truncated or is not a Parquet file"):
        load(train_file=str(tmp_path / "train.parquet"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no data: give --task_name, --train_file or --dataset_name"),
        ({"train_file": "a.txt"}, r"the suffix tells the format.*\.tsv"),
        ({"train_file": "a.csv", "dataset_name": "b"}, "two sources"),
        ({"data_dir": "a"}, "needs the --task_name"),
        ({"train_file": "a.csv", "text_pair_column_name": "b"}, "name the first with --text_column_name"),
        ({"train_file": "a.csv", "max_train_samples": 0}, "--max_train_samples 0: it must be at least 1"),
        ({"train_file": "a.csv", "validation_split_percentage": 100}, "between 1 and 99"),
        ({"train_file": "a.csv", "encoding": "utf-9"}, "unknown text encoding"),
        ({"train_file": "a.csv", "label_separator": ""}, "--label_separator is empty"),
        (
            {"train_file": "a.csv", "task_name": "rte,wnli"},
            r"one file, and --task_name asks for 2 tasks \(rte, wnli\)",
        ),
    ],
)
def test_options_that_cannot_work(options: dict[str, object], message: str):
    with pytest.raises(UsageError, match=message):
        load(**options)


def test_a_validation_file_alone_is_not_trained_on(file):
    with pytest.raises(CorpusError, match="there is no training split: give --train_file"):
        load(validation_file=file("dev.csv", CSV))
