"""What an Electric model thinks of a text: energies, and how likely each token is to be noise.

Clark et al. 2020b (arXiv 2012.08561), section 2: the probability that x_t was drawn from the noise distribution q,
where k of the n tokens of a text were, is sigmoid(E(x)_t + log q(x_t | other tokens) + log(k / (n - k))).
"""

import math

import torch
from transformers import PreTrainedTokenizerBase

from electra_hf.models import ElectricForPreTraining
from electra_hf.sharing.demo.records import JudgedText
from electra_hf.sharing.demo.tokens import Corruption, choose_positions, judged_text


@torch.inference_mode()
def judge_by_energy(
    text: Corruption,
    model: ElectricForPreTraining,
    tokenizer: PreTrainedTokenizerBase,
    *,
    corrupted: bool,
    mask_probability: float,
    seed: int,
) -> JudgedText:
    """Score each token of a text; its suspicion is the probability of noise.

    Args:
        text: As it is, from `encode`.
        model: In evaluation mode, on the CPU.
        tokenizer: Of the model.
        corrupted: Draw some tokens from the noise distribution first.
        mask_probability: Share of the tokens that are drawn, and the share of noise that is expected of a text as it
            is.
        seed: The same seed gives the same noise.
    """
    places = choose_positions(text, mask_probability, torch.Generator().manual_seed(seed))  # (k,)
    if len(places) == 0:
        return judged_text(text, torch.zeros(len(text.special)), tokenizer)
    ids, weights = text.original_ids[None], torch.full((1, len(places)), float(corrupted))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        output = model(input_ids=ids, original_ids=ids, masked_positions=places[None], masked_weights=weights)
    logits = output.logits[0]
    if not corrupted:
        # Of a text without noise the model takes one token for noise; here it is the share that is expected.
        length, noise = ids.size(1), len(places)
        logits = logits + math.log(noise / max(length - noise, 1)) + math.log(length)
    masked = output.labels[0].bool()
    judged = Corruption(output.corrupted_ids[0], text.original_ids, text.special, text.gaps, masked, text.cut)
    return judged_text(judged, logits.sigmoid(), tokenizer, energies=output.energies[0])
