"""Pre-train an ELECTRA, or another encoder, on any text.

    accelerate launch run_pretraining.py --config configs/pretraining/electra-small.yaml

Every option can stand in the YAML file or on the command line, which wins; --help lists them. `--hpo optuna` searches
for the best options of the training instead, each trial as long as --max_steps says.
"""

import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase, set_seed

from electra_hf.cli.hub import hub_target, push_finished, push_while_training
from electra_hf.cli.pretraining_card import describe_run
from electra_hf.corpora import Corpus, Limited
from electra_hf.corpora.arguments import open_source
from electra_hf.corpora.remote import as_path
from electra_hf.errors import UsageError, run_script
from electra_hf.models import PretrainingModel
from electra_hf.parser import ConfigArgumentParser, read_config
from electra_hf.sharing.card_files import write_model_card
from electra_hf.sharing.curves import plot_training_curves
from electra_hf.sharing.samples import SAMPLES_NAME, write_samples
from electra_hf.sharing.search_plots import search_table, write_search_report
from electra_hf.sharing.text_formats import as_html, as_markdown
from electra_hf.sharing.text_samples import Texts, TextSamples
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.training import (
    DataArguments,
    ModelArguments,
    PretrainingArguments,
)
from electra_hf.training.checkpoints import claim_output_dir, resolve_resume
from electra_hf.training.metrics import unigram_accuracy
from electra_hf.training.objective_checks import check_objective
from electra_hf.training.search import (
    PRETRAINING_SPACE,
    ReportToTrial,
    SearchArguments,
    SearchResult,
    read_space,
    score_of,
    search,
)
from electra_hf.training.setup import (
    STREAMED_VALIDATION_DOCUMENTS,
    end_processes,
    leaves_together,
    open_blocks,
    open_prepared_blocks,
    open_tokenizer,
    split_corpus,
    start_logging,
)
from electra_hf.training.trackers import Tracker, trackers_among
from electra_hf.training.trainer_setup import make_trainer
from electra_hf.training.warmups import warmup_plan

ARGUMENTS = (ModelArguments, DataArguments, PretrainingArguments, SearchArguments)


def open_corpus(data_args: DataArguments, model_args: ModelArguments, seed: int) -> tuple[Corpus, Corpus | None]:
    """Training and evaluation documents; what is held out is in one of them only."""
    corpus = open_source(data_args, seed, cache_dir=model_args.cache_dir)
    train, validation = split_corpus(corpus, data_args, seed)
    if data_args.streaming and validation is not None and not data_args.validation_file:
        validation = Limited(validation, STREAMED_VALIDATION_DOCUMENTS)
    return train, validation


@leaves_together
def main() -> None:
    parser = ConfigArgumentParser(ARGUMENTS, description=__doc__)
    model_args, data_args, args, search_args = parser.parse()
    start_logging(args)
    # Starts that do not fit are better refused now than when the corpus has been read.
    warmup_plan(args, data_args.max_seq_length, 1)
    if (
        args.do_eval
        and data_args.is_given()
        and not (data_args.validation_file or data_args.validation_split_percentage)
    ):
        raise UsageError(
            "--do_eval and --eval_strategy need text to evaluate on: give --validation_split_percentage above 0, or "
            "--validation_file"
        )
    check_objective(model_args, data_args)
    hub = hub_target(args, search_args)
    checkpoint = resolve_resume(args.resume_from_checkpoint, args.output_dir)
    output_dir = Path(args.output_dir)
    if args.should_save:
        claim_output_dir(output_dir, resume=bool(args.resume_from_checkpoint))
        parser.write_settings(output_dir / "pretraining_config.yaml")
    set_seed(args.seed)

    if data_args.is_given() or data_args.prepared_dir is None:
        train_corpus, eval_corpus = open_corpus(data_args, model_args, args.seed)
        tokenizer = open_tokenizer(model_args, data_args, args, train_corpus, checkpoint)
        train_blocks = open_blocks(train_corpus, tokenizer, data_args, args, split="train") if args.do_train else None
        eval_blocks = None
        if eval_corpus is not None and args.do_eval:
            eval_blocks = open_blocks(eval_corpus, tokenizer, data_args, args, split="validation")
        if eval_corpus is not None and args.should_save:
            # Before training: if nothing was held out, this is the time to say so.
            write_samples(eval_corpus.documents(), output_dir)
    else:
        tokenizer = open_tokenizer(model_args, data_args, args, None, checkpoint)
        train_blocks = open_prepared_blocks(tokenizer, data_args, args, split="train") if args.do_train else None
        eval_blocks = open_prepared_blocks(tokenizer, data_args, args, split="validation") if args.do_eval else None
        samples = as_path(data_args.prepared_dir) / SAMPLES_NAME
        if args.should_save and samples.is_file():
            (output_dir / SAMPLES_NAME).write_bytes(samples.read_bytes())

    if search_args.hpo != "none":
        search_options(search_args, output_dir, tokenizer, train_blocks, eval_blocks)
        return
    trainer = make_trainer(model_args, data_args, args, tokenizer, train_blocks, eval_blocks, checkpoint)
    trainer.add_callback(
        TextSamples(
            cast(PretrainingModel, trainer.model),
            tokenizer,
            count=args.num_text_samples,
            every=args.text_samples_steps,
            mask_probability=data_args.mlm_probability,
            max_length=data_args.max_seq_length,
            autocast=lambda: trainer.accelerator.autocast(),
            sharded=trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled,
            listeners=[tell_trackers(each) for each in trackers_among(trainer.callback_handler.callbacks)],
        )
    )
    vocab_size = len(tokenizer)
    describe = partial(describe_run, trainer, data_args, command=parser.command)
    push = push_while_training(trainer, hub, describe) if hub is not None and args.do_train else None

    if args.do_train:
        result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.save_model()
        if trainer.trained_steps or not (output_dir / "train_results.json").is_file():
            trainer.log_metrics("train", result.metrics)
            trainer.save_metrics("train", result.metrics)
    metrics = {}
    if eval_blocks is not None:
        metrics = trainer.evaluate()
        if isinstance(train_blocks, BlockDataset) and isinstance(eval_blocks, BlockDataset):
            metrics["eval_unigram_accuracy"] = unigram_accuracy(
                train_blocks.token_counts(), eval_blocks.token_counts(), tokenizer.all_special_ids
            )
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
    trainer.save_state()
    if trainer.is_world_process_zero():
        if trainer.state.log_history:
            plot_training_curves(
                trainer.state.log_history,
                output_dir / "training_curves.png",
                title=output_dir.name,
                vocab_size=vocab_size,
            )
        write_model_card(output_dir, describe(metrics=metrics))
        if hub is not None:
            push_finished(output_dir, hub, args, push)
    end_processes()


def tell_trackers(tracker: Tracker) -> Callable[[int, Texts], None]:
    """Shows a tracker the held-out texts of an observation."""
    return lambda step, texts: tracker.log_texts(step, as_markdown(texts), as_html(texts, f"Step {step:,}"))


def search_options(
    search_args: SearchArguments,
    output_dir: Path,
    tokenizer: PreTrainedTokenizerBase,
    train_blocks: Dataset | None,
    eval_blocks: Dataset | None,
) -> None:
    """Search for the best options of the training on the same blocks, by the loss on held-out text.

    Options of the data and of the model are not searched: losses under other masks, generators or vocabularies cannot
    be compared.
    """
    if train_blocks is None or eval_blocks is None:
        raise UsageError("--hpo judges by held-out text: add --do_eval, and --validation_split_percentage or a file")
    options = [field.name for field in dataclasses.fields(PretrainingArguments) if field.init]
    space = read_space(search_args.hpo_space or PRETRAINING_SPACE, options)
    metric = search_args.hpo_metric or "eval_loss"

    def train(values: dict[str, Any], trial: Any) -> float:
        chosen = [text for name, value in values.items() for text in (f"--{name}", str(value))]
        place = ["--output_dir", str(output_dir / f"trial-{trial.number}"), "--save_strategy", "no"]
        model_args, data_args, args, _ = ConfigArgumentParser(ARGUMENTS).parse([*sys.argv[1:], *chosen, *place])
        set_seed(args.seed)
        trainer = make_trainer(model_args, data_args, args, tokenizer, train_blocks, eval_blocks)
        trainer.add_callback(ReportToTrial(trial, metric))
        trainer.train()
        score = score_of(trainer.evaluate(), metric)
        trainer.save_state()
        return score

    def report(result: SearchResult) -> None:
        write_search_report(output_dir, rows(result), metric=metric, direction=result.direction, title=output_dir.name)

    def rows(result: SearchResult) -> list[dict[str, Any]]:
        return [dataclasses.asdict(trial) for trial in result.trials]

    fixed = read_config(output_dir / "pretraining_config.yaml")
    result = search(train, space, search_args, output_dir, metric=metric, fixed=fixed, report=report)
    Console().print(search_table(rows(result), metric=metric, direction=result.direction))


if __name__ == "__main__":
    run_script(main)
