"""Published tasks, read from folders laid out as they were published, with the traps of the real files."""

from pathlib import Path

import pytest

from electra_hf.errors import CorpusError, UsageError
from electra_hf.finetuning.tasks import TASKS, TaskArguments, TaskData, load_task


def write(path: Path, *lines: str, end: str = "\n", encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode(encoding))


def load(name: str, **options: object) -> TaskData:
    return load_task(name, TaskArguments(task_name=name, **options))  # type: ignore[arg-type]


def rows(data: TaskData, split: str) -> list[tuple[object, ...]]:
    dataset = data.splits[split]
    return [tuple(row.values()) for row in dataset]  # type: ignore[union-attr]


@pytest.fixture
def glue(tmp_path: Path) -> Path:
    """Some folders of GLUE."""
    for split in ("train", "dev"):
        write(tmp_path / "CoLA" / f"{split}.tsv", "gj04\t1\t\tThe book fell.", 'gj04\t0\t*\tThe "book fell.')
        mark = "\ufeff" if split == "train" else ""
        write(
            tmp_path / "MRPC" / f"{split}.tsv",
            f"{mark}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
            '1\t7\t8\tHe said " no .\t" No , " he said .',
            "0\t9\t10\tOne .\tTwo .",
        )
        write(
            tmp_path / "STS-B" / f"{split}.tsv",
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
            "0\tg\tf\t2012\t0001\tn\tn\tA plane.\tAn air plane.\t5.000",
            "1\tg\tf\t2012\t0002\tn\tn\tA man.\tA dog.\t0.25",
        )
        write(
            tmp_path / "RTE" / f"{split}.tsv",
            "index\tsentence1\tsentence2\tlabel",
            "5\tIt\ufeff rains.\tIt is wet.\tentailment",
            "6\tIt rains.\tIt is dry.\tnot_entailment",
        )
    write(tmp_path / "CoLA" / "test.tsv", "index\tsentence", "0\tBill whistled.")
    write(
        tmp_path / "STS-B" / "test.tsv",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2",
        "0\tg\tf\t2012\t0024\tn\tn\tA girl.\tA woman.",
    )
    return tmp_path


def test_cola_has_no_header_in_its_labelled_files(glue: Path):
    data = load("cola", data_dir=str(glue))
    assert rows(data, "train") == [("The book fell.", 1, "0"), ('The "book fell.', 0, "1")]
    assert rows(data, "test") == [("Bill whistled.", "0")]
    assert data.labels == ("unacceptable", "acceptable")
    assert data.evaluated == ["validation"]


def test_mrpc_begins_with_a_mark_and_its_label(glue: Path):
    data = load("mrpc", data_dir=str(glue))
    assert rows(data, "train")[0] == ('He said " no .', '" No , " he said .', 1, "0")
    assert "test: test.tsv is not in the folder." in data.notes
    assert "train: train.tsv has 2 rows, and 3,668 were published." in data.notes


def test_sts_b_has_its_score_last(glue: Path):
    data = load("stsb", data_dir=str(glue))
    assert rows(data, "validation") == [("A plane.", "An air plane.", 5.0, "0"), ("A man.", "A dog.", 0.25, "1")]
    assert rows(data, "test") == [("A girl.", "A woman.", "0")]
    assert data.labels == () and data.num_outputs == 1


def test_rte_writes_its_labels_as_words_and_keeps_marks_inside_texts(glue: Path):
    data = load("rte", data_dir=str(glue / "RTE"))
    assert rows(data, "train") == [("It\ufeff rains.", "It is wet.", 0, "5"), ("It rains.", "It is dry.", 1, "6")]


def test_the_folder_of_another_task_is_not_read(glue: Path):
    with pytest.raises(CorpusError, match="by its name the folder is another task's"):
        load("wnli", data_dir=str(glue / "RTE"))


def test_mnli_has_two_validation_and_two_test_splits(tmp_path: Path):
    header = "index\tpromptID\tsentence1\tsentence2\tlabel1"
    for name in ("train", "dev_matched", "dev_mismatched"):
        write(tmp_path / f"{name}.tsv", header + "\tgold_label", "0\t1\tA.\tB.\tneutral\tcontradiction")
    for name in ("test_matched", "test_mismatched"):
        write(tmp_path / f"{name}.tsv", header, "0\t1\tA.\tB.\thidden")
    data = load("mnli", data_dir=str(tmp_path))
    assert list(data.splits) == [
        "train",
        "validation_matched",
        "validation_mismatched",
        "test_matched",
        "test_mismatched",
    ]
    assert data.splits["train"]["label"][:] == [2]
    assert data.evaluated == ["validation_matched", "validation_mismatched"]


def test_damaged_lines_of_qqp_are_left_out_and_counted(tmp_path: Path):
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
    write(
        tmp_path / "QQP" / "train.tsv",
        header,
        "1\t2\t3\tA?\tB?\t1",
        '7\t8\t9\t"Why',
        '"\tWhy?\t0',
        "4\t5\t6\tC?\tD?\t0",
    )
    write(tmp_path / "QQP" / "dev.tsv", header, "1\t2\t3\tA?\tB?\t1")
    data = load("qqp", data_dir=str(tmp_path))
    assert data.splits["train"]["idx"][:] == ["1", "4"]
    assert "train: train.tsv: 2 lines (3, 4) do not have 6 columns, and were left out." in data.notes


def test_a_damaged_line_elsewhere_is_an_error(glue: Path):
    write(glue / "CoLA" / "dev.tsv", "gj04\t1\t\tOne.", "gj04\t1\t\tOne\tmore.")
    with pytest.raises(CorpusError, match=r"dev\.tsv, line 2: 5 columns where the file has 4"):
        load("cola", data_dir=str(glue))


def test_the_diagnostic_set_is_for_evaluation_only(tmp_path: Path):
    write(tmp_path / "diagnostic" / "diagnostic.tsv", "index\tsentence1\tsentence2", "0\tThe cat sat.\tIt did not.")
    data = load("ax", data_dir=str(tmp_path))
    assert rows(data, "diagnostic") == [("The cat sat.", "It did not.", "0")]
    assert data.labels == TASKS["mnli"].labels and data.evaluated == []
    write(
        tmp_path / "diagnostic" / "diagnostic-full.tsv", "Logic\tPremise\tHypothesis\tLabel", "\tA.\tB.\tcontradiction"
    )
    assert load("ax", data_dir=str(tmp_path)).splits["diagnostic"]["label"][:] == [2]
    with pytest.raises(UsageError, match="no training data"):
        load("ax", train_file="train.tsv")


def test_imdb_is_a_folder_of_reviews(tmp_path: Path):
    for split in ("train", "test"):
        for label in ("neg", "pos"):
            for number in (10, 9, 2):
                text = f"{label} {number}<br />next\u0085line"
                write(tmp_path / "aclImdb" / split / label / f"{number}_3.txt", text, end="")
    for folder in (tmp_path, tmp_path / "aclImdb"):
        data = load("imdb", data_dir=str(folder), validation_split_percentage=34)
        assert data.splits["test"]["idx"][:] == ["neg/2_3", "neg/9_3", "neg/10_3", "pos/2_3", "pos/9_3", "pos/10_3"]
        assert data.splits["test"]["text"][0] == "neg 2<br />next\u0085line"
        assert data.splits["test"]["label"][:] == [0, 0, 0, 1, 1, 1]
        assert (len(data.splits["train"]), sorted(data.splits["validation"]["label"][:])) == (4, [0, 1])
        assert data.evaluated == ["validation", "test"]


def test_nsmc_with_empty_texts_and_quotes(tmp_path: Path):
    lines = [
        "id\tdocument\tlabel",
        '1\t"""좋아요\t1',
        "2\t\t0",
        *(f"{number}\t글\t{number % 2}" for number in range(3, 40)),
    ]
    for split in ("train", "test"):
        write(tmp_path / f"ratings_{split}.txt", *lines)
    data = load("nsmc", data_dir=str(tmp_path))
    assert sum(len(data.splits[split]) for split in ("train", "validation")) == len(data.splits["test"]) == 39
    assert rows(data, "test")[:2] == [('"""좋아요', 1, "1"), ("", 0, "2")]
    assert "test: 1 row has an empty document; they are kept." in data.notes


def test_another_file_and_encoding_in_place_of_the_published_one(tmp_path: Path):
    lines = ["id\tdocument\tlabel", *(f"{number}\t아 더빙.. 진짜\t{number % 2}" for number in range(20))]
    write(tmp_path / "ratings_train_rebuilt.txt", *lines, end="\r\n", encoding="cp949")
    data = load("nsmc", train_file=str(tmp_path / "ratings_train_rebuilt.txt"), encoding="cp949")
    assert data.splits["train"]["text"][0] == "아 더빙.. 진짜" and set(data.splits["train"]["label"]) == {0, 1}
    assert "train: 20 rows of ratings_train_rebuilt.txt, which is not the published file." in data.notes
    with pytest.raises(CorpusError, match="--encoding cp949"):
        load("nsmc", train_file=str(tmp_path / "ratings_train_rebuilt.txt"))


def test_klue_is_json_arrays(tmp_path: Path):
    folder = tmp_path / "klue-sts-v1.1"
    record = '{"guid": "g1", "sentence1": "a", "sentence2": "b", "labels": {"label": 3.0, "real-label": 2.96}}'
    for split in ("train", "dev"):
        write(folder / f"klue-sts-v1.1_{split}.json", "[", record, "]", end="\r\n")
    data = load("klue-sts", data_dir=str(tmp_path))
    assert rows(data, "validation") == [("a", "b", 2.96, "g1")]
    nli = '[{"guid": "g", "premise": "a", "hypothesis": "b", "gold_label": "neutral", "label2": "entailment"}]'
    for split in ("train", "dev"):
        write(tmp_path / f"klue-nli-v1.1_{split}.json", nli)
    assert rows(load("klue_nli", data_dir=str(tmp_path)), "train") == [("a", "b", 1, "g")]
    topics = '[{"guid": "g", "title": "새 소식", "predefined_news_category": "경제", "label": "생활문화"}]'
    for split in ("train", "dev"):
        write(tmp_path / f"klue-ynat-v1.1_{split}.json", topics)
    assert rows(load("ynat", data_dir=str(tmp_path)), "train") == [("새 소식", 3, "g")]


def test_jglue_is_json_lines_of_the_newest_version(tmp_path: Path):
    for version in ("1.9", "1.10"):
        for split in ("train", "valid", "test"):
            record = f'{{"sentence_pair_id": "4", "sentence1": "v{version}", "sentence2": "b", "label": "neutral"}}'
            write(tmp_path / "datasets" / f"jnli-v{version}" / f"{split}-v{version}.json", record)
    data = load("jnli", data_dir=str(tmp_path))
    assert rows(data, "test") == [("v1.10", "b", 2, "4")]
    with pytest.raises(UsageError, match="--data_dir .*yahoojapan/JGLUE"):
        load("jnli")


def test_paws_x_takes_the_language_as_configuration(tmp_path: Path):
    for language, train in (("en", "train.tsv"), ("ko", "translated_train.tsv")):
        for name in (train, "dev_2k.tsv", "test_2k.tsv"):
            write(tmp_path / "x-final" / language / name, "id\tsentence1\tsentence2\tlabel", f"1\t{language}\tb\t1")
    assert load("paws-x", data_dir=str(tmp_path)).splits["train"]["text"][:] == ["en"]
    data = load("pawsx", data_dir=str(tmp_path / "x-final"), dataset_config_name="ko")
    assert rows(data, "test") == [("ko", "b", 1, "1")]
    with pytest.raises(UsageError, match="choose one of de, en, es"):
        load("pawsx", data_dir=str(tmp_path), dataset_config_name="kr")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("1\tgood\t3",), "label '3' .* is not one of the task's labels 'negative', 'positive'"),
        (("1\tgood\t3.5",), "label '3.5' .* is a score, and this task is a classification"),
        (("1\tgood\t1", "2\tbad\t"), "line 3: no label in column 'label'"),
    ],
)
def test_labels_that_the_task_does_not_have(tmp_path: Path, lines: tuple[str, ...], message: str):
    write(tmp_path / "train.tsv", "id\tdocument\tlabel", *lines, "9\tfine\t0")
    with pytest.raises(CorpusError, match=message):
        load("nsmc", train_file=str(tmp_path / "train.tsv"))


def test_what_is_missing_is_named(tmp_path: Path, glue: Path):
    with pytest.raises(CorpusError, match="no such folder"):
        load("cola", data_dir=str(tmp_path / "nowhere"))
    with pytest.raises(CorpusError, match=r"no ratings_train\.txt in this folder.*found: CoLA, MRPC.*--train_file"):
        load("nsmc", data_dir=str(glue))
    (glue / "CoLA" / "dev.tsv").unlink()
    with pytest.raises(CorpusError, match=r"no validation split of cola: there is no dev\.tsv"):
        load("cola", data_dir=str(glue))
    write(glue / "other.tsv", "index\tsentence3\t#2 String\tQuality", "0\ta\tb\t1")
    with pytest.raises(CorpusError, match="no column '#1 String'.*found: index, sentence3.*--text_column_name"):
        load("mrpc", train_file=str(glue / "other.tsv"))


def test_evaluation_needs_no_training_split(glue: Path):
    (glue / "RTE" / "train.tsv").unlink()
    data = load_task("rte", TaskArguments(task_name="rte", data_dir=str(glue)), needs_train=False)
    assert list(data.splits) == ["validation"]
    assert "train: train.tsv is not in the folder." in data.notes


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sst2", {"task_kind": "regression"}, "sst2 is a classification task"),
        ("sst2", {"text_pair_column_name": "b", "train_file": "x.tsv"}, "a task of single texts"),
        ("sst2", {"dataset_config_name": "x"}, "sst2 has no configurations"),
    ],
)
def test_options_that_do_not_fit_the_task(name: str, options: dict[str, str], message: str):
    with pytest.raises(UsageError, match=message):
        load(name, **options)
