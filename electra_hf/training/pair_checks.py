"""What an objective with pairs of segments needs, asked before any text is read."""

from electra_hf.errors import UsageError
from electra_hf.models.sentence_pairs import pair_class
from electra_hf.tokens.prepared import prepared_splits
from electra_hf.training.arguments import DataArguments, ModelArguments
from electra_hf.training.model_setup import DEFAULT_MODEL_TYPE, chosen_objective


def check_pairs(model_args: ModelArguments, data_args: DataArguments) -> None:
    """Make sure that the blocks will have labels if the objective learns from them, and that there is such a model.

    Raises:
        UsageError: If the packing makes no pairs, or another kind, or the family has no head for them.
        PreparationError: If there is no prepared corpus.
        CheckpointError: If the objective is a checkpoint's, and cannot be read.
    """
    objective = chosen_objective(model_args)
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
