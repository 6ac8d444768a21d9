"""`electra-hf prepare`, from the command line to the folder."""

import json
from pathlib import Path

import pytest

from electra_hf.cli import run
from electra_hf.errors import CorpusError, PreparationError, UsageError
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.tokenizers import load_tokenizer
from electra_hf.training import DataArguments, ModelArguments
from electra_hf.training.objective_checks import check_objective

TEXT = "\n\n".join(f"the river number {index} is long and old\nit sings over small stones" for index in range(400))
WORDS = ["the", "river", "is", "long", "and", "old", "it", "sings", "over", "small", "stones", "number"]
DIGITS = [*"0123456789", *(f"##{digit}" for digit in "0123456789")]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *DIGITS]))
    return [
        *("--train_file", str(tmp_path / "text.txt"), "--tokenizer_name", str(tmp_path / "vocab.txt")),
        *("--do_lower_case", "true", "--max_seq_length", "32", "--num_workers", "1", "--disable_tqdm"),
    ]


def test_folder_has_both_splits_the_tokenizer_samples_and_a_picture(sources, tmp_path, capsys):
    folder = tmp_path / "blocks"
    run(["prepare", *sources, "--output_dir", str(folder), "--inspect"])
    shown = capsys.readouterr().out
    train, validation = BlockDataset(folder / "train"), BlockDataset(folder / "validation")
    counts = [blocks.manifest["counts"]["documents"] for blocks in (train, validation)]
    assert sum(counts) == 400 and 4 <= counts[1] <= 45
    assert len(load_tokenizer(folder)) == 5 + len(WORDS) + len(DIGITS)
    assert {path.name for path in folder.iterdir()} > {"document_lengths.png", "held_out_samples.txt"}
    for expected in ("[CLS] the river number", "→[MASK]›", "0.000%", f"--prepared_dir {folder} --max_seq_length 32"):
        assert expected in shown


def test_a_finished_folder_can_be_looked_at_without_its_sources(sources, tmp_path, capsys):
    folder = tmp_path / "blocks"
    run(["prepare", *sources, "--output_dir", str(folder)])
    assert "→" not in capsys.readouterr().out
    run(["prepare", "--output_dir", str(folder), "--inspect", "--num_inspected", "1"])
    assert capsys.readouterr().out.count("Block 0") == 2  # as text, and masked
    with pytest.raises(PreparationError, match="no finished prepared corpus"):
        run(["prepare", "--output_dir", str(tmp_path / "elsewhere"), "--inspect"])


def test_a_second_run_does_nothing_and_says_so(sources, tmp_path, caplog):
    command = ["prepare", *sources, "--output_dir", str(tmp_path / "blocks")]
    run(command)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "blocks" / "train").iterdir()}
    caplog.clear()
    caplog.set_level("INFO", "electra_hf")
    run(command)
    assert "train is prepared already: nothing to do" in caplog.text
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "blocks" / "train").iterdir()}


def test_a_split_that_is_no_longer_asked_for_goes_with_the_old_blocks(sources, tmp_path):
    command = ["prepare", *sources, "--output_dir", str(tmp_path / "blocks")]
    run(command)
    run([*command, "--validation_split_percentage", "0", "--overwrite_output_dir"])
    assert not list((tmp_path / "blocks" / "validation").iterdir())


def test_another_tokenizer_is_refused_and_does_not_replace_the_first(sources, tmp_path):
    command = ["prepare", *sources, "--output_dir", str(tmp_path / "blocks")]
    run(command)
    before = (tmp_path / "blocks" / "tokenizer.json").read_bytes()
    with pytest.raises(PreparationError, match="was prepared with tokenizer = "):
        run([*command, "--do_lower_case", "false"])
    assert (tmp_path / "blocks" / "tokenizer.json").read_bytes() == before


def test_the_advice_of_an_error_can_be_followed(sources, tmp_path):
    text = "".join(f"강물은 {number}번 흐른다\n\n" for number in range(100))
    (tmp_path / "text.txt").write_bytes(text.encode("cp949"))
    command = ["prepare", *sources, "--output_dir", str(tmp_path / "blocks")]
    with pytest.raises(CorpusError, match="--encoding cp949"):
        run(command)
    run([*command, "--encoding", "cp949"])


def test_options_stand_in_a_file_too(sources, tmp_path):
    config = tmp_path / "blocks.yaml"
    config.write_text(f"output_dir: {tmp_path / 'blocks'}\nvalidation_split_percentage: 0\npacking: electra\n")
    run(["prepare", "--config", str(config), *sources])
    assert not (tmp_path / "blocks" / "validation").exists()
    assert BlockDataset(tmp_path / "blocks" / "train").manifest["settings"]["packing"]["packing"] == "electra"


def test_equal_documents_are_left_out_before_the_split(sources, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT + "\n\n" + TEXT)
    folder = tmp_path / "blocks"
    run(["prepare", *sources, "--deduplication", "exact", "--output_dir", str(folder)])
    counts = [BlockDataset(folder / split).manifest["counts"]["documents"] for split in ("train", "validation")]
    assert sum(counts) == 400
    assert json.loads((folder / "duplicates" / "report.json").read_text())["records"] == 800


def test_validation_files_are_read_as_the_training_files_are(sources, tmp_path):
    (tmp_path / "held.txt").write_bytes("the river é\n".encode("latin-1"))
    options = ["--encoding", "latin-1", "--validation_file", str(tmp_path / "held.txt")]
    run(["prepare", *sources, *options, "--output_dir", str(tmp_path / "blocks")])
    assert BlockDataset(tmp_path / "blocks" / "validation").manifest["counts"]["documents"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--num_inspected", "0"], "--num_inspected 0: give a number of 1 or more"),
        (["--executor", "slurm"], "--slurm_partition"),
        (["--sequence_length", "9"], "did you mean 'max_seq_length'"),
    ],
)
def test_wrong_options(sources, tmp_path, options, said):
    with pytest.raises(UsageError, match=said):
        run(["prepare", *sources, *options, "--output_dir", str(tmp_path / "blocks")])


def test_a_tokenizer_is_needed(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    with pytest.raises(UsageError, match="electra-hf tokenizer train"):
        run(["prepare", "--train_file", str(tmp_path / "text.txt"), "--output_dir", str(tmp_path / "blocks")])


def test_pairs_are_packed_counted_and_shown(sources, tmp_path, capsys):
    folder = tmp_path / "pairs"
    run(["prepare", *sources, "--packing", "nsp", "--output_dir", str(folder), "--inspect"])
    shown = capsys.readouterr().out
    assert "in order (label 0)" in shown and "pair label " in shown
    packing = BlockDataset(folder / "train").manifest["settings"]["packing"]
    assert packing["packing"] == "nsp" and packing["short_probability"] == 0.1
    check_objective(ModelArguments(objective="mlm_nsp", model_type="bert"), DataArguments(prepared_dir=str(folder)))
    with pytest.raises(UsageError, match=r"--objective mlm_sop .*--packing sop, and .*pairs was .*--packing nsp"):
        check_objective(
            ModelArguments(objective="mlm_sop", model_type="bert"), DataArguments(prepared_dir=str(folder))
        )
