"""Watch a pre-trained model at its own task: a generator swaps tokens of a text, the discriminator suspects some.

This is the picture behind the numbers of an evaluation (Clark et al., 2020, figure 2), on any text. An ELECTRA is
loaded with the Auto classes of transformers and nothing from `electra_hf.models`, so it also shows that a run folder
is an ordinary checkpoint that other people's code can use; for other families, transformers has no class with the head
that detects, and the joint model is loaded. A checkpoint without a `generator/` folder, such as a published
discriminator, gets the texts as they are. How the result is printed is in `rendering`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoTokenizer,
    ElectraForPreTraining,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from electra_hf.errors import CheckpointError, CorpusError, TokenizerError
from electra_hf.models import ElectraForMaskedTokenDetection, ElectraForReplacedTokenDetection
from electra_hf.models.backbones import EncoderWithDetectionHead, backbone_of
from electra_hf.models.checkpoint import LOADING_ERRORS
from electra_hf.models.objective_files import load_objective
from electra_hf.sharing.token_records import TokenRecord

GENERATOR_FOLDER = "generator"
_JOINT_MODELS = {"rtd": ElectraForReplacedTokenDetection, "electra_15": ElectraForMaskedTokenDetection}
_NO_DETECTOR = {
    "electric": "it is an Electric model, whose scores are energies and no suspicions: see them with electra-hf score"
}
_OTHER_OBJECTIVE = (
    "it was pre-trained with --objective {}, so nothing in it detects replaced tokens: give a run of --objective rtd "
    "or electra_15"
)


@dataclass(frozen=True)
class Corruption:
    """The ids of one text, special tokens included, before and after the generator has swapped some."""

    input_ids: torch.Tensor  # (length,)
    original_ids: torch.Tensor  # (length,)
    special: torch.Tensor  # (length,) true at [CLS] and [SEP]
    gaps: list[bool]


@dataclass(frozen=True)
class Detector:
    """A discriminator with its tokenizer, and its generator where the checkpoint has one."""

    tokenizer: PreTrainedTokenizerBase
    discriminator: ElectraForPreTraining | EncoderWithDetectionHead
    generator: PreTrainedModel | None
    temperature: float = 1.0  # of the generator's samples in pre-training


def load_detector(folder_or_hub_id: str | Path) -> Detector:
    """Load what `detect` needs from a run folder, one of its checkpoints, or a model id of the Hub.

    Raises:
        CheckpointError: If a part is missing, or if the model is not a replaced-token discriminator.
    """
    name = str(folder_or_hub_id)
    folder = Path(name)
    if folder.is_dir():
        _check_folder(folder)
    elif folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or folder.parts[0] == "outputs":
        # Asking the Hub about something that is clearly a path would end in a misleading message.
        raise CheckpointError(f"{name}: no such folder. Give the output folder of a run, or a model id of the Hub")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model_type = AutoConfig.from_pretrained(name, trust_remote_code=False).model_type
        objective = load_objective(name)
        objective_name = objective.get("objective", "rtd")
        if objective_name not in _JOINT_MODELS:
            problem = _NO_DETECTOR.get(objective_name, _OTHER_OBJECTIVE).format(objective_name)
            raise CheckpointError(f"{name}: {problem}")
        joint_class = _JOINT_MODELS[objective_name] if objective else None
        if model_type != "electra" and joint_class is not None:
            joint = joint_class.from_pretrained(name).eval()
            return Detector(tokenizer, joint.discriminator, joint.generator, _temperature(objective))
        discriminator, loading = AutoModelForPreTraining.from_pretrained(
            name, output_loading_info=True, trust_remote_code=False
        )
    except LOADING_ERRORS as error:
        raise CheckpointError(
            f"{name}: neither a complete model folder nor a model of the Hub within reach ({_first_line(error)}). "
            "Check the name; for a folder, train again or take another checkpoint of the run"
        ) from error
    if not isinstance(discriminator, ElectraForPreTraining):
        raise CheckpointError(
            f"{name}: holds a {type(discriminator).__name__}, which does not detect replaced tokens. "
            "Give the checkpoint of a pre-training with --objective rtd"
        )
    # transformers fills in random weights and only reports it; such a detector would answer at random.
    if loading["missing_keys"]:
        raise CheckpointError(
            f"{name}: no weights for {', '.join(sorted(loading['missing_keys'])[:3])}. A checkpoint fine-tuned for "
            "another task has lost its detection head: give the pre-trained one"
        )
    return Detector(tokenizer, discriminator.eval(), _load_generator(name), _temperature(objective))


def _temperature(objective: dict[str, Any]) -> float:
    """Of the generator's samples at the end of the run: one that fell towards 1 is no longer what it was."""
    falling = objective.get("temperature_schedule", "constant") != "constant"
    return 1.0 if falling else objective.get("temperature", 1.0)


def _check_folder(folder: Path) -> None:
    lacking = [
        what
        for what, names in {
            "config.json": ["config.json"],
            "the weights (model.safetensors)": ["model.safetensors", "model.safetensors.index.json"],
            "the tokenizer (tokenizer.json)": ["tokenizer.json", "vocab.txt"],
        }.items()
        if not any((folder / name).is_file() for name in names)
    ]
    if lacking:
        checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
        way_out = f"Its newest checkpoint may do: {checkpoints[-1]}" if checkpoints else "Give a run's output folder"
        raise CheckpointError(f"{folder}: not a complete model folder, it lacks {' and '.join(lacking)}. {way_out}")


def _load_generator(name: str) -> PreTrainedModel | None:
    if Path(name).is_dir() and not (Path(name) / GENERATOR_FOLDER).is_dir():
        return None
    try:
        generator = AutoModelForMaskedLM.from_pretrained(name, subfolder=GENERATOR_FOLDER, trust_remote_code=False)
    except LOADING_ERRORS as error:
        if not Path(name).is_dir():
            return None  # most published discriminators come without their generator
        raise CheckpointError(
            f"{Path(name) / GENERATOR_FOLDER}: not a complete generator ({_first_line(error)}). "
            "Remove the folder to score texts as they are, or take another checkpoint of the run"
        ) from error
    return generator.eval()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _encode(text: str, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Corruption:
    encoding = tokenizer(
        text, truncation=True, max_length=max_length, return_special_tokens_mask=True, return_offsets_mapping=True
    )
    offsets: list[tuple[int, int]] = encoding["offset_mapping"]
    gaps = [i > 0 and start > offsets[i - 1][1] for i, (start, _) in enumerate(offsets)]
    ids = torch.tensor(encoding["input_ids"])
    return Corruption(ids, ids, torch.tensor(encoding["special_tokens_mask"]).bool(), gaps)


@torch.inference_mode()
def corrupt(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    generator: PreTrainedModel | None,
    *,
    mask_probability: float = 0.15,
    temperature: float = 1.0,
    seed: int = 0,
    max_length: int = 512,
) -> list[Corruption]:
    """Mask tokens of each text at random and put samples of the generator in their place.

    A sample may well be the original token again: then nothing is replaced, as in pre-training.

    Args:
        texts: What to corrupt; each text on its own, so that its swaps depend on nothing but itself and its position.
        tokenizer: The tokenizer of the checkpoint, with a mask token.
        generator: A masked language model over the same vocabulary; None leaves the texts as they are.
        mask_probability: Share of the tokens that are masked, at least one in a text that has any.
        temperature: Divides the generator's logits; the discriminator knows the swaps of its own pre-training best.
        seed: The same seed gives the same swaps.
        max_length: Longer texts are cut.

    Raises:
        TokenizerError: If there is a generator, but no mask token.
    """
    encoded = [_encode(text, tokenizer, max_length) for text in texts]
    if generator is None:
        return encoded
    if not isinstance(tokenizer.mask_token_id, int):
        raise TokenizerError("the tokenizer has no mask token: take the tokenizer that the generator was trained with")
    mask_id = tokenizer.mask_token_id
    return [
        _swap(
            text,
            generator,
            mask_id,
            tokenizer,
            mask_probability,
            temperature,
            torch.Generator().manual_seed(seed * 1_000_003 + i),
        )
        for i, text in enumerate(encoded)
    ]


def _swap(
    text: Corruption,
    generator: PreTrainedModel,
    mask_id: int,
    tokenizer: PreTrainedTokenizerBase,
    mask_probability: float,
    temperature: float,
    random: torch.Generator,
) -> Corruption:
    ordinary = (~text.special).nonzero().flatten()
    if len(ordinary) == 0:
        return text
    count = min(max(1, round(mask_probability * len(ordinary))), len(ordinary))
    positions = ordinary[torch.randperm(len(ordinary), generator=random)[:count]]
    masked = text.original_ids.clone()
    masked[positions] = mask_id
    logits = generator(input_ids=masked[None]).logits[0, positions].float()  # (count, vocabulary)
    # A special token, or a row that only pads the embedding table, would be no word that a reader could judge.
    logits[:, tokenizer.all_special_ids] = -torch.inf
    logits[:, len(tokenizer) :] = -torch.inf
    corrupted = text.original_ids.clone()
    corrupted[positions] = torch.multinomial((logits / temperature).softmax(dim=-1), 1, generator=random).flatten()
    return Corruption(corrupted, text.original_ids, text.special, text.gaps)


@torch.inference_mode()
def detect(
    texts: Sequence[str], detector: Detector, *, mask_probability: float = 0.15, seed: int = 0
) -> list[list[TokenRecord]]:
    """Corrupt texts and score every token of the result.

    Returns:
        For each text the records of its tokens, special tokens left out.
    """
    tokenizer = detector.tokenizer
    config: Any = detector.discriminator.config
    corruptions = corrupt(
        texts,
        tokenizer,
        detector.generator,
        mask_probability=mask_probability,
        temperature=detector.temperature,
        seed=seed,
        max_length=min(backbone_of(config).usable_positions(config), tokenizer.model_max_length),
    )
    results = []
    for text in corruptions:
        suspicion = detector.discriminator(input_ids=text.input_ids[None]).logits[0].float().sigmoid()
        pieces = tokenizer.convert_ids_to_tokens(text.input_ids.tolist())
        originals = tokenizer.convert_ids_to_tokens(text.original_ids.tolist())
        replaced = (text.input_ids != text.original_ids).tolist()
        rows = zip(pieces, originals, replaced, suspicion.tolist(), text.gaps, strict=True)
        records = [TokenRecord(*row) for row in rows]
        results.append([record for record, special in zip(records, text.special.tolist(), strict=True) if not special])
    return results


def read_samples(file: str | Path) -> list[str]:
    """Read texts, one on each line; blank lines are skipped.

    Raises:
        CorpusError: If the file is missing, holds no text, or is not UTF-8.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise CorpusError(f"{file}: no such file. Give a text with --text, or a file of texts with --file") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"{file}: not UTF-8 text ({error}). Convert it to UTF-8 first") from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise CorpusError(f"{file}: no text in it. It should hold one passage on each line")
    return texts
