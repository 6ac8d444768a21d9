"""From emissions to tags: each by itself, or by the Viterbi algorithm."""

from collections.abc import Sequence

import numpy as np
import torch

from electra_hf.models.crf import LinearChainCRF


def decode_rows(
    rows: Sequence[np.ndarray], crf: LinearChainCRF | None, label_ids: Sequence[int] | None
) -> list[np.ndarray]:
    """The tags of texts.

    Args:
        rows: (units, tags) fp32 emissions of each text, in the model's numbers.
        crf: Decodes whole texts; None takes the best tag of each unit.
        label_ids: The model's number of each tag of the data; None if they are the same.

    Returns:
        (units,) int64 of each text, in the data's numbers.
    """
    tags = [row.argmax(-1) for row in rows] if crf is None else viterbi_paths(crf, rows)
    if label_ids is None:
        return tags
    number_of = np.argsort(label_ids)
    return [number_of[text] for text in tags]


@torch.no_grad()
def viterbi_paths(crf: LinearChainCRF, rows: Sequence[np.ndarray], batch_size: int = 256) -> list[np.ndarray]:
    """The most probable valid tags of texts of different lengths.

    Args:
        crf: The transitions.
        rows: (units, tags) fp32 emissions of each text.
        batch_size: Texts that are decoded together, those of like length.

    Returns:
        (units,) int64 of each text.
    """
    device = crf.transitions.device
    paths: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * len(rows)
    order = sorted((number for number, row in enumerate(rows) if len(row)), key=lambda number: -len(rows[number]))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        lengths = torch.tensor([len(rows[number]) for number in chosen])
        emissions = torch.nn.utils.rnn.pad_sequence(
            [torch.from_numpy(np.ascontiguousarray(rows[number])) for number in chosen], batch_first=True
        )
        mask = torch.arange(emissions.shape[1])[None] < lengths[:, None]
        found = crf.viterbi(emissions.to(device), mask.to(device)).cpu().numpy()
        for number, path, length in zip(chosen, found, lengths.tolist(), strict=True):
            paths[number] = path[:length]
    return paths
