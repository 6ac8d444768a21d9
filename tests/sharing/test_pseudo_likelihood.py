"""Scores of sentences against the definition, one token at a time; and the command."""

import json
import math

import pytest
import torch
from transformers import BertTokenizer, DistilBertConfig, DistilBertForMaskedLM, ElectraForMaskedLM

from electra_hf.cli import run
from electra_hf.errors import CheckpointError, CorpusError, UsageError
from electra_hf.models import ElectricConfig, ElectricForPreTraining, derive_generator_config
from electra_hf.models.backbones import BACKBONES
from electra_hf.sharing.pseudo_likelihood import Line, load_scorer, logits_at, score

TEXTS = ["w1 w2 w3", "w4 w5 unknown w7 w8", "w9 w10 w11", "w12"]


@pytest.fixture
def masked_lm(tokenizer, discriminator_config, tmp_path):
    torch.manual_seed(0)
    model = ElectraForMaskedLM(discriminator_config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path / "mlm")
    tokenizer.save_pretrained(tmp_path / "mlm")
    return tmp_path / "mlm"


@pytest.fixture
def electric(tokenizer, discriminator_config, tmp_path):
    torch.manual_seed(0)
    generator = derive_generator_config(discriminator_config, 0.25)
    model = ElectricForPreTraining(
        ElectricConfig(generator_config=generator, discriminator_config=discriminator_config)
    )
    model.save_pretrained(tmp_path / "electric")
    tokenizer.save_pretrained(tmp_path / "electric")
    return tmp_path / "electric"


def by_definition(folder, text: str) -> tuple[int, float]:
    tokenizer, model = BertTokenizer.from_pretrained(folder), ElectraForMaskedLM.from_pretrained(folder).eval()
    ids = tokenizer(text, return_tensors="pt").input_ids
    total = 0.0
    for place in range(1, ids.size(1) - 1):
        hidden = ids.clone()
        hidden[0, place] = tokenizer.mask_token_id
        with torch.no_grad():
            total += model(hidden).logits[0, place].double().log_softmax(-1)[ids[0, place]].item()
    return ids.size(1) - 2, total


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_each_token_is_hidden_in_turn(masked_lm, batch_size):
    lines = [Line(text, "here") for text in TEXTS]
    found = list(score(lines, load_scorer(str(masked_lm)), batch_size=batch_size))
    assert [result.text for result in found] == TEXTS
    for result, text in zip(found, TEXTS, strict=True):
        tokens, total = by_definition(masked_lm, text)
        assert (result.tokens, result.log_likelihood) == (tokens, pytest.approx(total, rel=1e-4))
        assert result.per_token == pytest.approx(total / tokens, rel=1e-4)


def test_electric_scores_are_minus_the_energies(electric):
    found = list(score([Line(text, "here") for text in TEXTS], load_scorer(str(electric))))
    model, tokenizer = ElectricForPreTraining.from_pretrained(electric).eval(), BertTokenizer.from_pretrained(electric)
    for result in found:
        ids = tokenizer(result.text, return_tensors="pt").input_ids
        with torch.no_grad():
            expected = -model.discriminator(ids).logits[0, 1:-1].sum().item()
        assert result.log_likelihood == pytest.approx(expected, rel=1e-4)


def test_the_generator_of_a_run_scores(make_model, tokenizer, tmp_path):
    make_model().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    [result] = score([Line("w1 w2", "here")], load_scorer(str(tmp_path), "generator"))
    assert result.per_token == pytest.approx(-math.log(64), rel=0.1)
    with pytest.raises(CheckpointError, match="--subfolder generator"):
        load_scorer(str(tmp_path))


def test_the_command_writes_columns_or_json(masked_lm, tmp_path, capsys):
    file = tmp_path / "sentences.txt"
    file.write_text("\n".join(TEXTS) + "\n")
    run(["score", str(masked_lm), "--file", str(file)])
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split("\t") == ["log_likelihood", "per_token", "tokens", "text"]
    assert [row.split("\t")[2:] for row in rows] == [["3", TEXTS[0]], ["5", TEXTS[1]], ["3", TEXTS[2]], ["1", "w12"]]
    run(["score", str(masked_lm), "--json", "--text", *TEXTS])
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for row, value in zip(rows, objects, strict=True):
        assert float(row.split("\t")[0]) == pytest.approx(value["log_likelihood"], abs=1e-4)
        assert value["per_token"] == pytest.approx(value["log_likelihood"] / value["tokens"])


def test_what_cannot_be_scored_is_named_by_its_line(masked_lm, tmp_path, capsys):
    file = tmp_path / "sentences.txt"
    file.write_text("w1 w2\n\nw3\n")
    with pytest.raises(CorpusError, match=r"sentences\.txt:2: there is no text"):
        run(["score", str(masked_lm), "--file", str(file)])
    assert len(capsys.readouterr().out.splitlines()) == 2, "what was scored before is written"
    file.write_text("w1 " * 31 + "\n")
    with pytest.raises(CorpusError, match=r"sentences\.txt:1: 33 tokens, and the model takes 32"):
        run(["score", str(masked_lm), "--file", str(file)])
    file.write_bytes(b"w1\n\xff\n")
    with pytest.raises(CorpusError, match="not UTF-8"):
        run(["score", str(masked_lm), "--file", str(file)])
    with pytest.raises(CorpusError, match="No such file"):
        run(["score", str(masked_lm), "--file", str(tmp_path / "missing")])
    with pytest.raises(UsageError, match="--batch_size 0"):
        run(["score", str(masked_lm), "--text", "w1", "--batch_size", "0"])
    with pytest.raises(CheckpointError, match="cannot load a model that scores"):
        run(["score", str(tmp_path / "nothing"), "--text", "w1"])


@pytest.mark.parametrize("model_type", [*BACKBONES, "distilbert"])
def test_the_head_on_a_few_places_says_what_the_whole_model_says_there(model_type):
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "pad_token_id": 0}
    if model_type == "distilbert":
        model = DistilBertForMaskedLM(DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=2, hidden_dim=16))
    else:
        backbone = BACKBONES[model_type]
        config = backbone.config_class(**sizes, intermediate_size=16, max_position_embeddings=24)
        backbone.settle(config, {})
        model = backbone.make_masked_lm(config)
    model.eval()
    tokens, places = torch.randint(1, 40, (3, 9)), torch.tensor([[0, 4], [8, 8], [2, 1]])
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        everywhere = model(input_ids=tokens).logits
        found = logits_at(model, tokens, places)
    expected = torch.stack([everywhere[row, where] for row, where in enumerate(places)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
