"""Checkpoints that TensorFlow wrote, against what TensorFlow computed with them (make_tf_checkpoint.py)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ElectraForMaskedLM, ElectraForPreTraining

from electra_hf.models.tf_checkpoint.electra import import_electra

DATA = Path(__file__).parent / "data"
INPUTS = np.load(DATA / "inputs.npz")
HEADS = "num_attention_heads=2"


def ids(expected) -> dict[str, torch.Tensor]:
    return {
        "input_ids": torch.from_numpy(INPUTS["input_ids"]),
        "token_type_ids": torch.from_numpy(INPUTS["token_type_ids"]),
        "attention_mask": torch.from_numpy(expected["mask"]),
    }


@pytest.mark.parametrize("name", ["google", "google_untied", "nvidia"])
def test_both_halves_compute_what_tensorflow_computed(name):
    expected = np.load(DATA / name / "expected.npz")
    found = import_electra(DATA / name, config_overrides=HEADS)
    for cls, half in ((ElectraForPreTraining, found.discriminator), (ElectraForMaskedLM, found.generator)):
        model = cls(half.config).eval()
        model.load_state_dict(half.weights)
        with torch.no_grad():
            logits = model(**ids(expected)).logits
        if cls is ElectraForMaskedLM:
            positions = torch.from_numpy(INPUTS["positions"])[..., None].expand(-1, -1, logits.shape[-1])
            logits = logits.gather(1, positions)
            wanted = expected["generator_logits"]
            print((logits - torch.from_numpy(wanted)).abs().max())
            torch.testing.assert_close(logits, torch.from_numpy(wanted), rtol=0, atol=1e-5)
        else:
            real = expected["mask"].astype(bool)
            wanted = expected["discriminator_logits"]
            print(np.abs(logits.numpy()[real] - wanted[real]).max())
            np.testing.assert_allclose(logits.numpy()[real], wanted[real], rtol=0, atol=1e-5)
    print(found.step, found.used, found.optimizer, found.unused, found.notes, found.embeddings_shared)
