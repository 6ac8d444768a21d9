"""`electra-hf import`: a TensorFlow checkpoint becomes a folder that the scripts go on from."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForPreTraining, AutoTokenizer

from electra_hf.cli import run
from electra_hf.errors import CheckpointError, TokenizerError, UsageError
from electra_hf.finetuning.arguments import FinetuneModelArguments
from electra_hf.models import ElectraForReplacedTokenDetection
from electra_hf.training import ModelArguments

DATA = Path(__file__).parents[1] / "models" / "tf_checkpoint" / "data"
GOOGLE = str(DATA / "google" / "model.ckpt-1234")
CASED = ["--do_lower_case", "false"]


def test_the_folder_is_that_of_a_run(tmp_path, capsys):
    folder = tmp_path / "new" / "model"
    run(["import", GOOGLE, "--output_dir", str(folder), "--config_overrides", "num_attention_heads=2", *CASED])
    said = capsys.readouterr().out
    for words in (
        "layers 2, hidden 16, heads 2",
        "shared",
        "1,234 steps",
        "82 used, 10 of the optimiser and 0 others",
    ):
        assert words in said
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    joint = ElectraForReplacedTokenDetection.from_pretrained(folder)
    assert joint.config.embedding_sharing == "all"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (len(tokenizer), tokenizer.model_max_length) == (40, 12)
    assert tokenizer("w2 w25")["input_ids"] == [2, 7, 30, 3]
    expected, inputs = np.load(DATA / "google" / "expected.npz"), np.load(DATA / "inputs.npz")
    batch = {name: torch.from_numpy(inputs[name]) for name in ("input_ids", "token_type_ids")}
    batch["attention_mask"] = torch.from_numpy(expected["mask"])
    real = expected["mask"].astype(bool)
    with torch.no_grad():
        found = AutoModelForPreTraining.from_pretrained(folder)(**batch).logits.numpy()
        np.testing.assert_allclose(found[real], expected["discriminator_logits"][real], atol=1e-5)
        found = AutoModelForMaskedLM.from_pretrained(folder, subfolder="generator")(**batch).logits.numpy()
        found = np.take_along_axis(found, inputs["positions"][..., None], axis=1)
        np.testing.assert_allclose(found, expected["generator_logits"], atol=1e-5)


def test_embeddings_of_their_own_stay_so(tmp_path, capsys):
    run(["import", str(DATA / "google_untied"), "--output_dir", str(tmp_path / "model")])
    assert ElectraForReplacedTokenDetection.from_pretrained(tmp_path / "model").config.embedding_sharing == "none"
    assert "There is no vocabulary" in capsys.readouterr().out


def test_what_cannot_be_written_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "file").touch()
    for folder, message in ((tmp_path, "is not empty"), (tmp_path / "file", "is a file")):
        with pytest.raises(UsageError, match=message):
            run(["import", "nowhere", "--output_dir", str(folder)])
    with pytest.raises(CheckpointError, match="there is no TensorFlow checkpoint nowhere"):
        run(["import", "nowhere", "--output_dir", str(tmp_path / "model")])


def test_a_vocabulary_is_read_by_its_rules_and_must_fit(tmp_path):
    command = ["import", GOOGLE, "--output_dir", str(tmp_path / "model")]
    with pytest.raises(TokenizerError, match="--do_lower_case true"):
        run(command)
    with pytest.raises(UsageError, match=r"--do_lower_case is of a vocabulary, and there is no .*vocab.txt"):
        run(["import", str(DATA / "google_untied"), *command[2:], *CASED])
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text((DATA / "google" / "vocab.txt").read_text() + "more\n")
    with pytest.raises(UsageError, match="has 41 tokens and the checkpoint 40"):
        run([*command, *CASED, "--vocab_file", str(vocabulary)])
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("given", ["model.ckpt-1234", "model.ckpt-1234.index", ""])
def test_the_scripts_say_how_to_import(tmp_path, given):
    shutil.copytree(DATA / "google", tmp_path / "google")
    path = str(tmp_path / "google" / given)
    for arguments in (
        lambda: ModelArguments(model_name_or_path=path),
        lambda: ModelArguments(generator_name_or_path=path),
        lambda: FinetuneModelArguments(model_name_or_path=path),
    ):
        with pytest.raises(UsageError, match="electra-hf import"):
            arguments()
