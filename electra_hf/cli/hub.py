"""`electra-hf push`, and what the scripts do with --push_to_hub."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from electra_hf.errors import UsageError

if TYPE_CHECKING:
    from electra_hf.sharing.model_card import ModelCardFacts
    from electra_hf.sharing.push_callback import PushCallback
    from electra_hf.sharing.upload import HubTarget
    from electra_hf.training import PretrainingArguments, PretrainingTrainer
    from electra_hf.training.search import SearchArguments
    from electra_hf.training.training_arguments import ElectraTrainingArguments


def add_commands(commands: Any) -> None:
    """Describe the command to the parser of `electra-hf`."""
    push = commands.add_parser("push", help="upload the model of a run to the Hub, with its card")
    push.add_argument("folder", metavar="FOLDER", type=Path, help="a run, a checkpoint of it, or a fine-tuned model")
    push.add_argument("--hub_model_id", metavar="OWNER/NAME", required=True, help="repository; made if need be")
    push.add_argument(
        "--hub_generator_model_id", metavar="OWNER/NAME", help="repository for the generator (default: generator/)"
    )
    push.add_argument("--hub_private_repo", action="store_true", help="new repositories are private")
    push.add_argument("--revision", "--hub_revision", metavar="BRANCH", help="branch; made if need be (default: main)")
    push.add_argument("--with_checkpoints", action="store_true", help="each checkpoint too, as the revision step-N")
    push.add_argument("--hub_language", nargs="+", metavar="CODE", help="languages for the card (en, ko ...)")
    push.add_argument("--hub_license", metavar="NAME", help="licence for the card (apache-2.0 ...)")
    push.add_argument("--hub_token", metavar="TOKEN", help="better: `hf auth login`, or HF_TOKEN in the environment")
    push.set_defaults(action=push_folder)


def push_folder(options: argparse.Namespace) -> None:
    """`electra-hf push`: upload what is not there yet, and say what was done."""
    from electra_hf.sharing.upload import HubTarget

    if options.hub_token:
        os.environ["HF_TOKEN"] = options.hub_token
    target = HubTarget(
        options.hub_model_id,
        options.hub_generator_model_id,
        private=options.hub_private_repo or None,
        revision=options.revision,
        language=tuple(options.hub_language) if options.hub_language else None,
        license=options.hub_license,
    )
    show_push(options.folder, target, with_checkpoints=options.with_checkpoints)


def show_push(folder: Path, target: "HubTarget", *, with_checkpoints: bool = False) -> None:
    """Upload a folder and print one line for each revision, and what stays here."""
    from rich.console import Console

    from electra_hf.sharing.card_files import is_edited
    from electra_hf.sharing.hub_files import files_for_hub
    from electra_hf.sharing.upload import push_run

    lines = [("Uploaded", str(pushed)) for pushed in push_run(folder, target, with_checkpoints=with_checkpoints)]
    if left := files_for_hub(folder).left:
        lines.append(("Stay here", ", ".join(left)))
    if is_edited(folder):
        lines.append(("Card", "README.md was edited by hand, and was uploaded as it is"))
    for label, value in lines:
        # Addresses are to be copied: no wrapping, and brackets or quotes mean nothing to rich.
        Console().print(f"{label:<10}{value}", soft_wrap=True, markup=False, highlight=False)


def target_of(args: "ElectraTrainingArguments", repo_id: str, generator_repo_id: str | None = None) -> "HubTarget":
    """Where the options of a training say that its model goes."""
    from electra_hf.sharing.upload import HubTarget

    language = tuple(args.hub_language) or None
    private, revision = args.hub_private_repo, args.hub_revision
    return HubTarget(repo_id, generator_repo_id, private, revision, language, args.hub_license)


def hub_target(args: "PretrainingArguments", search_args: "SearchArguments") -> "HubTarget | None":
    """Where a pre-training is uploaded to, with the login checked and the repositories made; None if it is not.

    The options lose --push_to_hub, since the stock Trainer would act on it, and get the whole name.

    Raises:
        UsageError: If there will be nothing to upload.
        CheckpointError: If the Hub does not let us.
    """
    from electra_hf.sharing.upload import check_hub

    if not args.push_to_hub:
        if args.hub_generator_model_id:
            raise UsageError("--hub_generator_model_id has no effect without --push_to_hub: give both or none")
        return None
    if search_args.hpo != "none":
        raise UsageError("--push_to_hub uploads the model that was trained, and --hpo trains trials only")
    if not args.do_train:
        raise UsageError(
            "--push_to_hub uploads the model that was trained, and --no_do_train trains none: use `electra-hf push`"
        )
    args.push_to_hub = False
    repository = args.hub_model_id or Path(str(args.output_dir)).resolve().name
    target = target_of(args, repository, args.hub_generator_model_id)
    if args.process_index == 0:
        target = check_hub(target)
        args.hub_model_id = target.repo_id
    return target


def push_while_training(
    trainer: "PretrainingTrainer", target: "HubTarget", describe: "Callable[..., ModelCardFacts]"
) -> "PushCallback | None":
    """Upload checkpoints as they come, if --hub_strategy says so.

    Args:
        trainer: Gets the callback.
        target: What `hub_target` returned.
        describe: The facts of a card, from the metrics of an evaluation.

    Raises:
        UsageError: If there is no generator for a repository of its own.
    """
    from electra_hf.cli.pretraining_card import checkpoint_metrics
    from electra_hf.models.checkpoint import GENERATOR_FOLDER
    from electra_hf.sharing.push_callback import PushCallback

    if (
        target.generator_repo_id
        and GENERATOR_FOLDER not in trainer.accelerator.unwrap_model(trainer.model).saved_parts
    ):
        raise UsageError(
            f"--hub_generator_model_id: a model of --objective {trainer.objective.name} has no generator that is a "
            "model by itself; leave it out"
        )
    strategy = str(getattr(trainer.args.hub_strategy, "value", trainer.args.hub_strategy))
    if strategy == "end":
        return None
    callback = PushCallback(
        target,
        strategy,
        always=trainer.args.hub_always_push,
        # Tokens are counted when they are logged, which may have been some steps ago.
        describe=lambda checkpoint: target.describe(
            describe(metrics=checkpoint_metrics(trainer, checkpoint)), tokens_seen=None
        ),
    )
    trainer.add_callback(callback)
    return callback


def push_finished(
    folder: Path, target: "HubTarget", args: "PretrainingArguments", while_training: "PushCallback | None"
) -> None:
    """Upload a finished pre-training, and what of its checkpoints is not there yet.

    Raises:
        CheckpointError: If that fails, with the command that repeats it.
    """
    if while_training is not None:
        while_training.finish()
    sys.stdout.flush()
    show_push(folder, target, with_checkpoints=while_training is not None and while_training.keeps_steps)
