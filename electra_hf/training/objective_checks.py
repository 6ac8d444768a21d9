"""What an objective needs of the options, asked before any text is read."""

from electra_hf.errors import UsageError
from electra_hf.models.sentence_pairs import pair_class
from electra_hf.tokens.prepared import prepared_splits
from electra_hf.training.arguments import DataArguments, ModelArguments
from electra_hf.training.model_setup import DEFAULT_MODEL_TYPE, chosen_objective
from electra_hf.training.objectives import Objective

_GENERATOR_OPTIONS = (
    "generator_width",
    "generator_depth",
    "generator_config_overrides",
    "generator_name_or_path",
)
_MASK_OPTIONS = ("mask_replace_prob", "random_replace_prob")


def check_objective(model_args: ModelArguments, data_args: DataArguments) -> None:
    """Refuse options that have no effect on the objective, and blocks and families that it cannot learn from.

    Raises:
        UsageError: For such an option, packing or family.
        PreparationError: If there is no prepared corpus.
        CheckpointError: If the objective is a checkpoint's, and cannot be read.
    """
    objective = chosen_objective(model_args)
    given = [name for name in _GENERATOR_OPTIONS if getattr(model_args, name) is not None]
    if given and not objective.model.has_generator:
        raise UsageError(
            f"--{given[0]} has no effect with --objective {objective.name}, which has no generator: leave it out"
        )
    given = [name for name in _MASK_OPTIONS if getattr(data_args, name) is not None]
    if given and not objective.reads_masks:
        raise UsageError(
            f"--{given[0]} has no effect with --objective {objective.name}, which reads the text without masks: leave "
            "it out"
        )
    _check_pairs(objective, model_args, data_args)


def _check_pairs(objective: Objective, model_args: ModelArguments, data_args: DataArguments) -> None:
    needed = objective.packing
    if needed is None:
        return
    if not (model_args.model_name_or_path or model_args.config_name):
        pair_class(model_args.model_type or DEFAULT_MODEL_TYPE)
    learns = f"--objective {objective.name} learns from the labels of --packing {needed}"
    if not data_args.is_given() and data_args.prepared_dir is not None:
        found = prepared_splits(data_args.prepared_dir)["train"]["settings"]["packing"]["packing"]
        if found != needed:
            raise UsageError(
                f"{learns}, and {data_args.prepared_dir} was prepared with --packing {found}: prepare the corpus with "
                f"--packing {needed}, or choose another --objective"
            )
    elif data_args.packing != needed:
        raise UsageError(f"{learns}, and --packing is {data_args.packing}: give --packing {needed}")


def mask_shares(objective: Objective, data_args: DataArguments) -> tuple[float, float]:
    """Shares of the masked positions that get [MASK], and that get a random token: the options', or the objective's.

    What one option leaves bounds the default of the other.
    """
    mask, random = data_args.mask_replace_prob, data_args.random_replace_prob
    if mask is None:
        mask = min(objective.mask_replace_prob, 1 - (random or 0.0))
    if random is None:
        random = min(objective.random_replace_prob, 1 - mask)
    return mask, random
