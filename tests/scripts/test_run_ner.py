"""run_ner.py from files to entities, with and without a CRF."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from seqeval.metrics import f1_score
from tiny_glue import scores
from tiny_ner import RECIPE, tagged_sentences, write_conll
from tiny_script import assert_explained, run_module
from transformers import AutoModel, AutoModelForTokenClassification, AutoTokenizer, pipeline

from electra_hf.errors import CheckpointError
from electra_hf.models.tagged_tokens import first_tokens
from electra_hf.models.token_classification import TokenClassificationWithCRF


@pytest.fixture(scope="module", params=["softmax", "crf"])
def two_seeds(
    request: pytest.FixtureRequest,
    ner: ModuleType,
    encoder: Path,
    ner_files: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
):
    """The head, the folder of a run of seeds 7 and 8 with it, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / request.param
    options = ["--model_name_or_path", encoder, *ner_files, *RECIPE, "--do_predict", "--num_seeds", "2", "--seed", "7"]
    if request.param == "crf":
        options.append("--use_crf")
    done = run_module(ner, *options, "--output_dir", folder)
    assert done.code == 0, done.stderr
    return request.param, folder, done.stdout


def read_columns(path: Path) -> list[list[list[str]]]:
    text = path.read_text(encoding="utf-8")
    return [[line.split("\t") for line in block.split("\n")] for block in text.strip("\n").split("\n\n")]


def test_it_learns_and_the_numbers_of_all_seeds_are_there(two_seeds):
    head, folder, _ = two_seeds
    results = scores(folder)
    # What the tag before was, only the CRF can know.
    assert results["seeds"] == [7, 8] and min(results["eval_f1"]["values"]) > (0.85 if head == "softmax" else 0.95)
    assert results["eval_f1"]["median"] == pytest.approx(np.median(results["eval_f1"]["values"]))
    assert {"eval_precision", "eval_recall", "eval_macro_f1", "eval_accuracy", "eval_loss"} <= set(results)
    assert len(scores(folder, "test_results.json")["test_f1"]["values"]) == 2
    assert scores(folder, "all_results.json")["eval_samples"] == 40


def test_predictions_are_those_that_were_scored(two_seeds):
    _, folder, _ = two_seeds
    found = read_columns(folder / "predictions.txt")
    gold = tagged_sentences(20, 2)
    assert [[(word, tag) for word, tag, _ in sentence] for sentence in found] == gold
    selected = scores(folder, "test_results.json")["test_f1"]["selected"]
    tags = [[row[1] for row in sentence] for sentence in found], [[row[2] for row in sentence] for sentence in found]
    assert f1_score(*tags) == pytest.approx(selected)


def test_a_person_is_shown_types_confusion_and_texts(two_seeds):
    _, folder, printed = two_seeds
    for text in ["train 200, validation 40, test 20", "seed 8:", "LOC", "PER", "token-classification", str(folder)]:
        assert text in printed
    for name in ["confusion_validation.png", "confusion_test.png", "results.png", "README.md"]:
        assert (folder / name).stat().st_size > 0
    assert "confusion_test.png" in printed and "entities_validation.html" in printed
    assert "transitions" in printed and "precision" in printed, "words of a table are not broken"
    assert "lovely" in (folder / "entities_test.html").read_text(encoding="utf-8")
    assert "## test: each type" in (folder / "results.md").read_text(encoding="utf-8")


def test_the_saved_model_loads_without_us(two_seeds):
    head, folder, _ = two_seeds
    _, info = AutoModelForTokenClassification.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    _, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["ElectraForTokenClassification"]
    assert config["id2label"] == {"0": "O", "1": "B-LOC", "2": "I-LOC", "3": "B-PER", "4": "I-PER"}
    assert (folder / "crf.safetensors").is_file() == (head == "crf")


def test_a_pipeline_finds_the_same_entities(two_seeds):
    head, folder, _ = two_seeds
    sentences = read_columns(folder / "predictions.txt")
    model = str(folder)
    if head == "crf":
        model = TokenClassificationWithCRF.from_pretrained(folder).for_pipeline()
    tagger = pipeline("token-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(folder))
    texts = [" ".join(row[0] for row in sentence) for sentence in sentences]
    found = [["O"] * len(sentence) for sentence in sentences]
    for tags, text, items in zip(found, texts, tagger(texts), strict=True):
        for item in items:
            tags[text[: item["start"]].count(" ")] = item["entity"]
    predicted = [[row[2] for row in sentence] for sentence in sentences]
    same = np.mean(
        [a == b for one, other in zip(found, predicted, strict=True) for a, b in zip(one, other, strict=True)]
    )
    # The most probable tag of each word is not always in the most probable sequence.
    assert same == 1 if head == "softmax" else same > 0.95


def test_decoding_by_the_class_gives_the_tags_of_the_script(two_seeds):
    head, folder, _ = two_seeds
    if head == "softmax":
        pytest.skip("has no CRF")
    model = TokenClassificationWithCRF.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for sentence in read_columns(folder / "predictions.txt"):
        encoded = tokenizer([row[0] for row in sentence], is_split_into_words=True, return_tensors="pt")
        tags = model.decode(**encoded, tag_mask=first_tokens(encoded))[0]
        assert torch.equal(tags, model.decode(**encoded)[0]), "WordPiece tells the first tokens by itself"
        assert [model.config.id2label[number] for number in tags[tags >= 0].tolist()] == [row[2] for row in sentence]
    assert torch.isfinite(model.crf.transitions).all()


def test_the_trained_model_is_judged_again_without_training(two_seeds, ner: ModuleType, ner_files, tmp_path: Path):
    _, folder, _ = two_seeds
    done = run_module(
        ner, "--model_name_or_path", folder, *ner_files[2:], *RECIPE, "--no_do_train", "--do_predict",
        "--output_dir", tmp_path / "again",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert scores(tmp_path / "again")["eval_f1"]["best"] == scores(folder)["eval_f1"]["best"]
    assert (tmp_path / "again" / "predictions.txt").read_bytes() == (folder / "predictions.txt").read_bytes()


def test_finished_seeds_are_kept(two_seeds, ner: ModuleType, encoder: Path, ner_files: tuple[str, ...]):
    head, folder, _ = two_seeds
    before = {seed: (folder / f"seed-{seed}" / "outputs.npz").stat().st_mtime_ns for seed in (7, 8)}
    options = ["--model_name_or_path", encoder, *ner_files, *RECIPE, "--do_predict", "--num_seeds", "2", "--seed", "7"]
    if head == "crf":
        options.append("--use_crf")
    done = run_module(ner, *options, "--output_dir", folder, "--resume_from_checkpoint", "auto")
    assert done.code == 0, done.stderr
    assert before == {seed: (folder / f"seed-{seed}" / "outputs.npz").stat().st_mtime_ns for seed in (7, 8)}


def test_texts_longer_than_the_model_get_a_tag_for_every_word(two_seeds, ner: ModuleType, tmp_path: Path):
    _, folder, _ = two_seeds
    long = tagged_sentences(3, 9, length=50)
    path = write_conll(tmp_path / "long.txt", long)
    unlabelled = write_conll(tmp_path / "words.txt", long, tags=False)
    options = ("--model_name_or_path", folder, *RECIPE, "--no_do_train", "--validation_file", path)
    done = run_module(
        ner, *options, "--test_file", unlabelled, "--do_predict", "--output_dir", tmp_path / "out",
        "--return_entity_level_metrics",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    found = read_columns(tmp_path / "out" / "predictions.txt")
    assert [[row[0] for row in sentence] for sentence in found] == [[word for word, _ in row] for row in long]
    results = scores(tmp_path / "out")
    assert results["eval_f1"]["best"] > 0.8
    gold = [tag for row in long for _, tag in row]
    assert results["eval_PER_number"]["best"] == gold.count("B-PER")


@pytest.mark.parametrize(
    ("options", "code", "texts"),
    [
        (("--crf_learning_rate", "0.1"), 2, ["--crf_learning_rate", "--use_crf"]),
        (("--use_crf", "--label_smoothing_factor", "0.1"), 2, ["--label_smoothing_factor"]),
        (("--max_seq_length", "64"), 2, ["--max_seq_length 64", "32"]),
        (("--doc_stride", "14"), 2, ["doc_stride"]),
        (("--use_crf", "--label_all_tokens"), 2, ["--label_all_tokens", "--use_crf"]),
        (("--prediction_loss_only",), 2, ["--prediction_loss_only"]),
        (("--task_name", "pos", "--tag_scheme", "BIOES"), 2, ["--tag_scheme", "pos"]),
        (("--task_name", "nerr"), 2, ["nerr", "ner"]),
        (("--config_overrides", "dropout=1"), 2, ["--config_overrides", "dropout"]),
        (("--train_file", "missing.txt"), 1, ["missing.txt"]),
    ],
)
def test_what_cannot_work_is_told_before_training(
    ner: ModuleType, encoder: Path, ner_files: tuple[str, ...], tmp_path: Path, options, code: int, texts: list[str]
):
    done = run_module(
        ner, "--model_name_or_path", encoder, *ner_files, *RECIPE, "--output_dir", tmp_path / "out", *options
    )
    assert_explained(done, code, texts)
    assert not (tmp_path / "out").exists()


def test_the_dropout_of_an_encoder_can_be_changed(ner: ModuleType, encoder: Path, ner_files, tmp_path: Path):
    done = run_module(
        ner, "--model_name_or_path", encoder, *ner_files, *RECIPE, "--max_steps", "2",
        "--output_dir", tmp_path / "out", "--config_overrides", "hidden_dropout_prob=0.3",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert json.loads((tmp_path / "out" / "config.json").read_text())["hidden_dropout_prob"] == 0.3


def test_a_model_is_judged_as_it_was_trained(
    ner: ModuleType, encoder: Path, ner_files: tuple[str, ...], tmp_path: Path
):
    options = ("--model_name_or_path", encoder, *ner_files, *RECIPE, "--use_crf", "--tag_scheme", "BIOES")
    done = run_module(ner, *options, "--output_dir", tmp_path / "bioes")
    assert done.code == 0, done.stderr
    again = ("--model_name_or_path", tmp_path / "bioes", *ner_files[2:], *RECIPE, "--no_do_train")
    done = run_module(ner, *again, "--output_dir", tmp_path / "again")
    assert done.code == 0, done.stderr
    for metric in ("f1", "f1_strict", "accuracy"):
        assert scores(tmp_path / "again")[f"eval_{metric}"] == scores(tmp_path / "bioes")[f"eval_{metric}"]
    assert "as the model was trained: --tag_scheme BIOES" in scores(tmp_path / "again")["notes"], (
        "and no unit: it is auto"
    )
    # Trained further, with another dropout: the CRF stays, and the options hold.
    further = ("--model_name_or_path", tmp_path / "bioes", *ner_files, *RECIPE, "--use_crf", "--tag_scheme", "BIOES")
    done = run_module(
        ner, *further, "--max_steps", "1", "--config_overrides", "hidden_dropout_prob=0.3",
        "--output_dir", tmp_path / "further",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert scores(tmp_path / "further")["eval_f1"]["best"] > 0.9
    assert json.loads((tmp_path / "further" / "config.json").read_text())["hidden_dropout_prob"] == 0.3


def test_text_tagged_by_characters_stays_so_for_text_without_entities(ner: ModuleType, encoder: Path, tmp_path: Path):
    rows = [{"text": "fine film", "entities": [{"start": 1, "end": 3, "label": "PER"}]}] * 40
    for name in ("train", "dev"):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "test.jsonl").write_text(json.dumps({"text": "fine plot"}))
    options = ("--train_file", tmp_path / "train.jsonl", "--validation_file", tmp_path / "dev.jsonl", *RECIPE)
    done = run_module(ner, "--model_name_or_path", encoder, *options, "--output_dir", tmp_path / "model")
    assert done.code == 0, done.stderr
    done = run_module(
        ner, "--model_name_or_path", tmp_path / "model", *RECIPE, "--no_do_train", "--do_predict",
        "--test_file", tmp_path / "test.jsonl", "--output_dir", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert len(read_columns(tmp_path / "out" / "predictions.txt")[0]) == len("fine plot")
    assert "pipeline(" not in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_padding_on_the_left_changes_nothing(two_seeds, ner: ModuleType, tmp_path: Path):
    _, folder, _ = two_seeds
    rows = [row[: 2 + number % 7] for number, row in enumerate(tagged_sentences(40, 5))]
    found = {}
    for side in ("right", "left"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.padding_side = side
        tokenizer.save_pretrained(tmp_path / side)
        done = run_module(
            ner, "--model_name_or_path", folder, "--tokenizer_name", tmp_path / side, *RECIPE, "--no_do_train",
            "--validation_file", write_conll(tmp_path / "dev.txt", rows), "--output_dir", tmp_path / "out" / side,
        )  # fmt: skip
        assert done.code == 0, done.stderr
        found[side] = scores(tmp_path / "out" / side)["eval_f1"]
    assert found["left"] == found["right"]


@pytest.mark.parametrize("damage", ["model", "crf"])
def test_a_damaged_model_with_a_crf_is_explained(two_seeds, ner: ModuleType, ner_files, tmp_path: Path, damage: str):
    head, folder, _ = two_seeds
    if head == "softmax":
        pytest.skip("has no CRF")
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.glob("*.*"):
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    name = {"model": "model.safetensors", "crf": "crf.safetensors"}[damage]
    (copy / name).write_bytes((copy / name).read_bytes()[:50])
    options = ("--model_name_or_path", copy, *ner_files[2:], *RECIPE, "--no_do_train")
    assert_explained(run_module(ner, *options, "--output_dir", tmp_path / "out"), 1, [str(copy)])
    with pytest.raises(CheckpointError, match="copy"):
        TokenClassificationWithCRF.from_pretrained(copy)


def test_texts_of_nothing_but_white_space_lose_no_training(ner: ModuleType, encoder: Path, tmp_path: Path):
    def klue(name: str, texts: list[str]) -> Path:
        blocks = []
        for number, text in enumerate(texts):
            lines = [f"{unit}\t{'B-PS' if unit == 'f' else 'O'}" for unit in text]
            blocks.append("\n".join([f"## s{number}\t{text.replace('f', '<f:PS>')}", *lines]))
        (tmp_path / name).write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
        return tmp_path / name

    done = run_module(
        ner, "--model_name_or_path", encoder, *RECIPE, "--max_steps", "1", "--do_predict",
        "--train_file", klue("train.tsv", ["fine film"] * 20), "--validation_file", klue("dev.tsv", ["a plot"]),
        "--test_file", klue("test.tsv", ["  "]), "--output_dir", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert read_columns(tmp_path / "out" / "predictions.txt") == [[[" ", "O", "O"]] * 2]
