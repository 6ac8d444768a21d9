"""Watch a pre-trained model at its own task: a generator swaps tokens of a text, the discriminator suspects some.

This is the picture behind the numbers of an evaluation (Clark et al., 2020, figure 2), on any text. An ELECTRA is
loaded with the Auto classes of transformers and nothing from `electra_hf.models`, so it also shows that a run folder
is an ordinary checkpoint that other people's code can use; for other families, transformers has no class with the head
that detects, and the joint model is loaded. A checkpoint without a `generator/` folder, such as a published
discriminator, gets the texts as they are. How the result is printed is in `rendering`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoTokenizer,
    ElectraForPreTraining,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from electra_hf.errors import CheckpointError, CorpusError, TokenizerError, UsageError
from electra_hf.models import ElectraForMaskedTokenDetection, ElectraForReplacedTokenDetection, ElectricForPreTraining
from electra_hf.models.backbones import EncoderWithDetectionHead, backbone_of
from electra_hf.models.checkpoint import LOADING_ERRORS
from electra_hf.models.objective_files import load_objective
from electra_hf.sharing.demo.loading import fine_tuned, lacking, quiet_loading
from electra_hf.sharing.demo.records import SUSPECTED, JudgedText, TokenRecord, tally
from electra_hf.sharing.demo.tokens import MASK_PROBABILITY, Corruption, encode, judged_text, suspicions, swap
from electra_hf.sharing.energies import judge_by_energy

GENERATOR_FOLDER = "generator"
_JOINT_MODELS = {"rtd": ElectraForReplacedTokenDetection, "electra_15": ElectraForMaskedTokenDetection}
_OTHER_OBJECTIVE = (
    "it was pre-trained with --objective {}, so nothing in it detects replaced tokens: see what it predicts with "
    'electra-hf fill {} "a [MASK]", or give a run of --objective rtd, electra_15 or electric'
)


@dataclass(frozen=True)
class Detector:
    """A discriminator with its tokenizer, and its generator where the checkpoint has one.

    Attributes:
        tokenizer: Of both.
        discriminator: Called with `input_ids` (1, length) it returns `logits` (1, length).
        generator: A masked language model; None without one, and for Electric, whose noise has another form.
        temperature: Of the generator's samples in pre-training.
        masked_only: Whether the discriminator has learnt from masked positions only (--objective electra_15).
        electric: The joint model of --objective electric; None for others.
    """

    tokenizer: PreTrainedTokenizerBase
    discriminator: ElectraForPreTraining | EncoderWithDetectionHead
    generator: PreTrainedModel | None
    temperature: float = 1.0
    masked_only: bool = False
    electric: ElectricForPreTraining | None = None

    def remarks(self, *, corrupted: bool = True) -> list[str]:
        """What a reader must know of its judgements, in sentences.

        Args:
            corrupted: Whether tokens were to be swapped.
        """
        if self.electric is not None:
            return [
                "an Electric model: a suspicion is the probability that the token is noise; --json has the energies, "
                "and electra-hf score adds them up"
            ]
        if self.masked_only:
            return [
                "pre-trained with --objective electra_15: suspicions are shown for masked positions only, since those "
                "of other tokens mean nothing"
            ]
        if corrupted and self.generator is None:
            return ["no generator/ beside this model: the texts were scored as they are"]
        return []


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
        with quiet_loading():
            return _load(name)
    except LOADING_ERRORS as error:
        raise CheckpointError(
            f"{name}: neither a complete model folder nor a model of the Hub within reach ({_first_line(error)}). "
            "Check the name; for a folder, train again or take another checkpoint of the run"
        ) from error


def _load(name: str) -> Detector:
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if problem := fine_tuned(config):
        raise CheckpointError(f"{name}: it {problem}")
    objective = load_objective(name)
    objective_name = objective.get("objective", "rtd")
    if objective_name == "electric":
        electric = ElectricForPreTraining.from_pretrained(name).eval()
        return Detector(tokenizer, electric.discriminator, None, electric=electric)
    if objective_name not in _JOINT_MODELS:
        raise CheckpointError(f"{name}: {_OTHER_OBJECTIVE.format(objective_name, name)}")
    temperature, masked_only = _temperature(objective), objective_name == "electra_15"
    if config.model_type != "electra" and objective:
        joint = _JOINT_MODELS[objective_name].from_pretrained(name).eval()
        return Detector(tokenizer, joint.discriminator, joint.generator, temperature, masked_only)
    discriminator, loading = AutoModelForPreTraining.from_pretrained(
        name, output_loading_info=True, trust_remote_code=False
    )
    if not isinstance(discriminator, ElectraForPreTraining):
        raise CheckpointError(
            f"{name}: holds a {type(discriminator).__name__}, which does not detect replaced tokens. "
            "Give the checkpoint of a pre-training with --objective rtd"
        )
    # transformers fills in random weights and only reports it; such a detector would answer at random.
    if missing := lacking(loading):
        raise CheckpointError(
            f"{name}: no weights for {missing}. A checkpoint fine-tuned for another task, and a generator, have no "
            "detection head: give the pre-trained discriminator"
        )
    return Detector(tokenizer, discriminator.eval(), _load_generator(name), temperature, masked_only)


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
        generator, loading = AutoModelForMaskedLM.from_pretrained(
            name, subfolder=GENERATOR_FOLDER, output_loading_info=True, trust_remote_code=False
        )
    except LOADING_ERRORS as error:
        if not Path(name).is_dir():
            return None  # most published discriminators come without their generator
        raise CheckpointError(
            f"{Path(name) / GENERATOR_FOLDER}: not a complete generator ({_first_line(error)}). "
            "Remove the folder to score texts as they are, or take another checkpoint of the run"
        ) from error
    if missing := lacking(loading):
        raise CheckpointError(
            f"{name}/{GENERATOR_FOLDER}: no weights for {missing}. Take another checkpoint of the run, or remove the "
            "folder to score texts as they are"
        )
    return generator.eval()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def corrupt(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    generator: PreTrainedModel | None,
    *,
    mask_probability: float = MASK_PROBABILITY,
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
    encoded = [encode(text, tokenizer, max_length) for text in texts]
    if generator is None:
        return encoded
    if not isinstance(tokenizer.mask_token_id, int):
        raise TokenizerError("the tokenizer has no mask token: take the tokenizer that the generator was trained with")
    options = {"mask_probability": mask_probability, "temperature": temperature}
    return [swap(text, generator, tokenizer, seed=_seed_of_text(seed, i), **options) for i, text in enumerate(encoded)]


def _seed_of_text(seed: int, number: int) -> int:
    return seed * 1_000_003 + number


def judge(
    texts: Sequence[str],
    detector: Detector,
    *,
    corrupted: bool = True,
    mask_probability: float = MASK_PROBABILITY,
    temperature: float | None = None,
    seed: int = 0,
) -> list[JudgedText]:
    """Score every token of some texts.

    Args:
        texts: What to look at; longer ones than the model takes are cut.
        detector: From `load_detector`.
        corrupted: Let the generator swap tokens first, if there is one.
        mask_probability: Share of the tokens that are masked.
        temperature: Divides the generator's logits; None takes that of pre-training.
        seed: The same seed gives the same swaps.

    Raises:
        TokenizerError: If there is a generator, but no mask token.
        UsageError: For texts as they are and a discriminator that has learnt from masked positions only, or a
            temperature for Electric, whose noise has none.
    """
    tokenizer, electric = detector.tokenizer, detector.electric
    config: Any = detector.discriminator.config
    longest = min(backbone_of(config).usable_positions(config), tokenizer.model_max_length)
    if electric is not None:
        if temperature is not None:
            raise UsageError("--temperature: the noise of an Electric model has none; leave it out")
        return [
            judge_by_energy(
                encode(text, tokenizer, longest),
                electric,
                tokenizer,
                corrupted=corrupted,
                mask_probability=mask_probability,
                seed=_seed_of_text(seed, i),
            )
            for i, text in enumerate(texts)
        ]
    if detector.masked_only and not (corrupted and detector.generator):
        raise UsageError(
            "this model was pre-trained with --objective electra_15 and judges masked positions only, so that its "
            "suspicion of a text as it is means nothing: let its generator swap tokens (without --no_corrupt), or "
            "take a run of --objective rtd"
        )
    corruptions = corrupt(
        texts,
        tokenizer,
        detector.generator if corrupted else None,
        mask_probability=mask_probability,
        temperature=detector.temperature if temperature is None else temperature,
        seed=seed,
        max_length=longest,
    )
    return [
        judged_text(text, suspicions(text, detector.discriminator), tokenizer, masked_only=detector.masked_only)
        for text in corruptions
    ]


def detect(
    texts: Sequence[str], detector: Detector, *, mask_probability: float = MASK_PROBABILITY, seed: int = 0
) -> list[list[TokenRecord]]:
    """Corrupt texts and score every token of the result.

    Returns:
        For each text the records of its tokens, special tokens left out.
    """
    judged = judge(texts, detector, mask_probability=mask_probability, seed=seed)
    return [text.records for text in judged]


def records_as_json(text: str, judged: JudgedText, threshold: float = SUSPECTED) -> dict[str, Any]:
    """What is known of a text, as plain values.

    Args:
        text: As it was given.
        judged: From `judge`.
        threshold: A token is suspected from here on.

    Returns:
        `text`; `tokens`, each with `piece`, `original`, `replaced`, `suspicion` (None where the discriminator has not
        learnt to judge), `suspected`, and for Electric `energy` (nats); the counts `found`, `missed`, `false_alarms`
        and `others` (tokens that are no swaps); `cut_tokens`.
    """
    tokens = []
    for i, (record, known) in enumerate(zip(judged.records, judged.judged, strict=True)):
        token: dict[str, Any] = {"piece": record.piece, "original": record.original, "replaced": record.replaced}
        token["suspicion"] = record.suspicion if known else None
        token["suspected"] = known and record.suspicion >= threshold
        if judged.energies is not None:
            token["energy"] = judged.energies[i]
        tokens.append(token)
    return {"text": text, "tokens": tokens, **asdict(tally([judged], threshold)), "cut_tokens": judged.cut}


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
