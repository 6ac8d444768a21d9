"""Fine-tune an encoder on GLUE, on another known task or on texts of one's own, and judge it over several seeds.

    python run_glue.py --model_name_or_path outputs/electra-small --task_name sst2 --num_seeds 5 \\
        --config configs/finetuning/electra-small.yaml --output_dir outputs/sst2

Every option can stand in the YAML file or on the command line, which wins; --help lists them, docs/tasks.md the tasks.
"""

from functools import partial

from electra_hf.cli.finetuning import run_tasks
from electra_hf.errors import run_script
from electra_hf.finetuning.arguments import FinetuneModelArguments, FinetuningArguments
from electra_hf.finetuning.sequence_classification import SequenceClassification
from electra_hf.finetuning.tasks import TaskArguments, hub_dataset, load_task, task_names
from electra_hf.parser import ConfigArgumentParser
from electra_hf.training.search import SearchArguments
from electra_hf.training.setup import leaves_together, start_logging


@leaves_together
def main() -> None:
    arguments = (FinetuneModelArguments, TaskArguments, FinetuningArguments, SearchArguments)
    parser = ConfigArgumentParser(arguments, description=__doc__)
    model_args, task_args, args, search_args = parser.parse()
    start_logging(args)

    def build(name: str | None) -> SequenceClassification:
        data = load_task(name, task_args, cache_dir=model_args.cache_dir, needs_train=args.do_train)
        return SequenceClassification(data, model_args, task_args, args)

    names = task_names(task_args.task_name) if task_args.task_name else [None]
    tasks = [(name, partial(build, name)) for name in names]
    run_tasks(tasks, parser, model_args, args, search_args, lambda name: hub_dataset(name, task_args))


if __name__ == "__main__":
    run_script(main)
