"""`electra-hf compare`: fine-tuned models against each other; `electra-hf submission`: the zip for GLUE's server."""

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Describe the two commands to the parser of `electra-hf`."""
    compare = commands.add_parser(
        "compare",
        help="compare fine-tuned models on the same tasks, examples and seeds",
        description="Compare runs of run_glue.py or of run_ner.py, paired by seed. The first one is the baseline.",
    )
    compare.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="the output folder of a run: of one task, or of several"
    )
    compare.add_argument(
        "--metric", metavar="NAME", help="only this metric, such as accuracy (default: the tasks' own)"
    )
    compare.add_argument(
        "--output", type=Path, metavar="FOLDER", help="write comparison.md, comparison.png and comparison.json there"
    )
    compare.set_defaults(action=compare_models)

    submission = commands.add_parser(
        "submission",
        help="put test predictions on GLUE into the zip that its server takes",
        description="Collect the test predictions of runs of run_glue.py --do_predict into one zip, and check it.",
    )
    submission.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="the output folder of a run: of one task, or of several"
    )
    submission.add_argument(
        "--output", type=Path, default=Path("glue.zip"), metavar="ZIP", help="default: %(default)s"
    )
    submission.add_argument("--allow_missing", action="store_true", help="write the zip although tasks are missing")
    submission.set_defaults(action=make_submission)


def compare_models(options: argparse.Namespace) -> None:
    """`electra-hf compare`: the table, what it can show, and the files."""
    from rich.console import Console

    from electra_hf.corpora.storage import publish, to_json
    from electra_hf.finetuning.comparison import compare_runs
    from electra_hf.sharing.score_pictures import plot_comparison
    from electra_hf.sharing.scores import comparison_markdown, comparison_table

    console = Console()
    comparison = compare_runs(options.runs, options.metric)
    console.print(comparison_table(comparison))
    console.print()
    for note in comparison["notes"]:
        console.print(f"{note}.", style="dim", markup=False, highlight=False)
    if options.output is None:
        return
    options.output.mkdir(parents=True, exist_ok=True)
    table = options.output / "comparison.md"
    publish(table, comparison_markdown(comparison).encode())
    publish(options.output / "comparison.json", to_json(comparison))
    tasks = list(dict.fromkeys(row["task"] for row in comparison["rows"]))
    picture = plot_comparison(comparison, options.output / "comparison.png", title=f"Fine-tuned on {', '.join(tasks)}")
    console.print()
    for label, path in (("Table", table), ("Picture", picture)):
        console.print(f"{label:<9}{path}", soft_wrap=True, markup=False, highlight=False)


def make_submission(options: argparse.Namespace) -> None:
    """`electra-hf submission`: the zip and what is in it."""
    from rich.console import Console

    from electra_hf.finetuning.submission import FILES, check_submission, write_submission

    console = Console()
    files = write_submission(options.runs, options.output, allow_missing=options.allow_missing)
    console.print(f"{options.output}: {', '.join(files)}", soft_wrap=True, markup=False, highlight=False)
    problems = check_submission(options.output)
    if problems:
        text = f"not complete, the server will refuse it: {'; '.join(problems)}"
        console.print(text, style="yellow", markup=False, highlight=False)
    else:
        console.print(f"complete and well-formed: all {len(FILES)} files. Submit it at gluebenchmark.com/submit")
