"""Arguments -> the Trainer of a pre-training run, with its model, its masks and what watches over it."""

from pathlib import Path

from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training.arguments import DataArguments, ModelArguments
from electra_hf.training.health import HealthCallback
from electra_hf.training.model_setup import build_model, loaded_parts
from electra_hf.training.objective_checks import mask_shares
from electra_hf.training.objectives import objective_named
from electra_hf.training.pretraining_arguments import PretrainingArguments
from electra_hf.training.run_files import RunInfo, run_facts
from electra_hf.training.trainer import PretrainingTrainer


def make_trainer(
    model_args: ModelArguments,
    data_args: DataArguments,
    args: PretrainingArguments,
    tokenizer: PreTrainedTokenizerBase,
    train_blocks: Dataset | None,
    eval_blocks: Dataset | None,
    checkpoint: Path | None = None,
) -> PretrainingTrainer:
    """A model that is fresh or loaded, and its Trainer.

    Args:
        model_args: Which model.
        data_args: Which masks, and the length of the blocks.
        args: Of the run.
        tokenizer: Of the blocks.
        train_blocks: To train on; None to evaluate only.
        eval_blocks: Held out; None for no evaluation.
        checkpoint: Which the run goes on from, so that its first loss is no fresh one's.
    """
    model = build_model(model_args, data_args, tokenizer)
    # An encoder under a fresh head starts like a fresh one.
    loaded = tuple(part for part in loaded_parts(model_args) if part != model.main_part or not model.fresh_weights)
    objective = objective_named(model.config.objective)
    mask, random = mask_shares(objective, data_args)
    return PretrainingTrainer(
        model=model,
        args=args,
        train_dataset=train_blocks,
        eval_dataset=eval_blocks,
        data_collator=DataCollatorForReplacedTokenDetection(
            tokenizer=tokenizer,
            mlm_probability=data_args.mlm_probability,
            mask_replace_prob=mask,
            random_replace_prob=random,
            seed=args.seed,
            always_attention_mask=data_args.streaming,
            **data_args.masking_options,
            pair_labels=objective.packing is not None,
        ),
        processing_class=tokenizer,
        callbacks=[
            HealthCallback(
                objective,
                vocab_size=model.config.vocab_size,
                mask_fraction=data_args.mlm_probability,
                fresh=checkpoint is None and not loaded,
                loaded=() if checkpoint else loaded,
                initializer_range=model.config.main_config.initializer_range,
            ),
            RunInfo(
                run_facts(model, args, mask_probability=data_args.mlm_probability, length=data_args.max_seq_length)
            ),
        ],
    )
