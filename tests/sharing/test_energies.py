"""Texts as an Electric model sees them, against the formula of the paper."""

import pytest
import torch

from electra_hf.errors import UsageError
from electra_hf.models import ElectricConfig, ElectricForPreTraining
from electra_hf.sharing.detection import judge, load_detector, records_as_json

TEXT = "the cat sat on the mat and a dog ran home"


@pytest.fixture
def folder(tmp_path, tokenizer, config):
    torch.manual_seed(0)
    config.initializer_range = 0.5
    model = ElectricForPreTraining(ElectricConfig(generator_config=config, discriminator_config=config))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    config.initializer_range = 0.02
    return tmp_path


def log_q(model: ElectricForPreTraining, ids: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """log of the noise distribution, given the text `ids`, at the tokens `at`; both (1, length)."""
    weight, bias = model.generator.vocabulary
    logits = model.generator(ids, None, None) @ weight.T + bias
    return logits.log_softmax(-1).gather(2, at[..., None])[0, :, 0]


@pytest.mark.parametrize("corrupted", [False, True])
def test_a_suspicion_is_the_probability_of_noise(folder, tokenizer, corrupted: bool):
    (judged,) = judge([TEXT], load_detector(folder), corrupted=corrupted, mask_probability=0.3, seed=1)
    model = ElectricForPreTraining.from_pretrained(folder).eval()
    original = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    vocabulary = tokenizer.get_vocab() | {f"[unused{row}]": row for row in range(len(tokenizer), 40)}
    ids = torch.tensor([[vocabulary[piece] for piece in ["[CLS]", *(each.piece for each in judged.records), "[SEP]"]]])
    assert any(record.replaced for record in judged.records) == corrupted
    with torch.no_grad():
        energies = model.discriminator(ids).logits[0]
        noise, length = round(0.3 * 11), 13
        expected = torch.sigmoid(energies + log_q(model, original, ids) + torch.tensor(noise / (length - noise)).log())
    assert judged.energies == pytest.approx(energies[1:-1].tolist(), abs=1e-4)
    assert [record.suspicion for record in judged.records] == pytest.approx(expected[1:-1].tolist(), abs=1e-4)
    tokens = records_as_json(TEXT, judged)["tokens"]
    assert [token["energy"] for token in tokens] == judged.energies


def test_the_same_seed_draws_the_same_noise_and_leaves_the_generator_of_torch_alone(folder):
    detector = load_detector(folder)
    torch.manual_seed(5)
    before = torch.rand(3)
    torch.manual_seed(5)
    texts = [judge([TEXT], detector, mask_probability=1.0, seed=seed)[0] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert torch.equal(torch.rand(3), before)


def test_an_empty_text_and_a_temperature(folder):
    detector = load_detector(folder)
    assert judge([""], detector)[0].records == []
    assert "probability that the token is noise" in detector.remarks()[0]
    with pytest.raises(UsageError, match="--temperature"):
        judge([TEXT], detector, temperature=1.0)
