"""Fine-tune an encoder to tag words or characters: named entities, parts of speech, chunks, with or without a CRF.

    python run_ner.py --model_name_or_path outputs/electra-small --task_name ner --train_file train.txt \\
        --validation_file dev.txt --test_file test.txt --do_predict --num_seeds 3 --output_dir outputs/ner

Every option can stand in the YAML file (--config) or on the command line, which wins; --help lists them,
docs/tagging.md the formats and the published tasks.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from rich.console import Console

from electra_hf.cli.finetuning import run_tasks
from electra_hf.errors import run_script
from electra_hf.finetuning.arguments import EncoderArguments
from electra_hf.finetuning.runs import FinishedTask
from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.loading import load_tagging
from electra_hf.finetuning.tagging.model import as_it_was_trained
from electra_hf.finetuning.tagging.published import hub_dataset, tagging_task_names
from electra_hf.finetuning.tagging.token_classification import TokenClassification
from electra_hf.finetuning.tagging.training_arguments import TaggingTrainingArguments
from electra_hf.finetuning.tagging.whitespace import without_outer_whitespace
from electra_hf.parser import ConfigArgumentParser
from electra_hf.sharing.tagging import plot_confusion, types_markdown, types_table, write_page
from electra_hf.training.search import SearchArguments
from electra_hf.training.setup import leaves_together, start_logging


@leaves_together
def main() -> None:
    arguments = (EncoderArguments, TaggingArguments, TaggingTrainingArguments, SearchArguments)
    parser = ConfigArgumentParser(arguments, description=__doc__)
    model_args, tagging_args, args, search_args = parser.parse()
    start_logging(args)

    def build(name: str | None) -> TokenClassification:
        options, note = (tagging_args, None) if args.do_train else as_it_was_trained(tagging_args, model_args)
        data = load_tagging(name, options, cache_dir=model_args.cache_dir, needs_train=args.do_train)
        # White space has no token, so that no model could find a border there.
        data = without_outer_whitespace(data)
        run = TokenClassification(data, model_args, options, args)
        if note:
            run.add_note(note)
        return run

    names = tagging_task_names(tagging_args.task_name) if tagging_args.task_name else [None]
    run_tasks(
        [(name, partial(build, name)) for name in names],
        parser,
        model_args,
        args,
        search_args,
        dataset_of=lambda name: hub_dataset(name, tagging_args),
        describe_more=partial(describe_tags, Console(quiet=not args.should_log)),
    )


def describe_tags(console: Console, done: FinishedTask) -> str | None:
    """Scores of each type, a picture of what is taken for what, and the texts with their entities."""
    tables = []
    seed = done.details["seed"]
    splits: Mapping[str, Any] = done.details["splits"]
    for split, found in splits.items():
        if "types" in found:
            console.print()
            console.print(types_table(found["types"], title=f"{done.name}, {split}"))
            tables.append(f"## {split}: each type\n\n{types_markdown(found['types'])}")
            title = f"{done.name}, {split}, seed {seed}"
            plot_confusion(found["confusion"], done.folder / f"confusion_{split}.png", title=title)
        if "sentences" in found:
            write_page(found["sentences"], done.folder / f"entities_{split}.html", title=f"{done.name}, {split}")
    return "\n\n".join(tables) + "\n" if tables else None


if __name__ == "__main__":
    run_script(main)
