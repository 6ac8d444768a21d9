"""`electra-hf report`: one page about runs; `electra-hf watch`: the same while a run goes on, or in the terminal."""

import argparse
from pathlib import Path
from typing import Any

from electra_hf.errors import CheckpointError, UsageError, explain_os_error

PAGE_NAME = "report.html"


def add_commands(commands: Any) -> None:
    """Describe the two commands to the parser of `electra-hf`."""
    report = commands.add_parser(
        "report",
        help="write one HTML page about runs: curves, scores, texts",
        description="Write one self-contained HTML page, and PNGs beside it, about runs of run_pretraining.py, "
        "run_glue.py and run_ner.py, finished or not. The folder of a study stands for all of its runs.",
    )
    report.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="the output folder of a run, or of a study")
    report.add_argument(
        "--output", type=Path, metavar="FILE.html", help=f"default: RUN/{PAGE_NAME}; of several runs {PAGE_NAME} here"
    )
    report.add_argument("--names", nargs="+", default=[], metavar="NAME", help="of the runs, for the legend")
    report.set_defaults(action=write_report)

    watch = commands.add_parser(
        "watch",
        help="look at a run while it goes on, in a browser or in the terminal",
        description="Serve the page of electra-hf report and keep it up to date while the run goes on; with "
        "--terminal show the run in the terminal, and end with it. Ctrl-C ends both, and never the run.",
    )
    watch.add_argument("run", type=Path, metavar="RUN", help="the output folder of the run; it may not exist yet")
    watch.add_argument("--terminal", action="store_true", help="show the run in the terminal instead")
    watch.add_argument("--port", type=int, default=8800, help="of the page; 0 takes a free one (default: %(default)s)")
    watch.add_argument(
        "--host", default="127.0.0.1", help="address that may ask for the page; 0.0.0.0: all (default: %(default)s)"
    )
    watch.add_argument(
        "--interval", type=float, default=5.0, metavar="SECONDS", help="look for news so often (default: %(default)s)"
    )
    watch.set_defaults(action=watch_run)


def write_report(options: argparse.Namespace) -> None:
    """`electra-hf report`: the page and its pictures."""
    from rich.console import Console

    from electra_hf.sharing.report.content import content_of
    from electra_hf.sharing.report.page import render_page
    from electra_hf.sharing.report.pictures import draw_pictures
    from electra_hf.sharing.report.runs import find_runs

    output = options.output or (options.runs[0] / PAGE_NAME if len(options.runs) == 1 else Path(PAGE_NAME))
    if output.suffix.lower() not in (".html", ".htm") or output.is_dir():
        raise UsageError(f"--output {output}: give the name of a file that ends in .html")
    runs = find_runs(options.runs, options.names)
    page = render_page(content_of(runs))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(page, encoding="utf-8")
        pictures = draw_pictures(runs, output)
    except OSError as error:
        raise CheckpointError(explain_os_error(error, error.filename or output)) from error
    console = Console()
    for label, path in (("Page", output), *(("Picture", picture) for picture in pictures)):
        console.print(f"{label:<9}{path}", soft_wrap=True, markup=False, highlight=False)


def watch_run(options: argparse.Namespace) -> None:
    """`electra-hf watch`: until Ctrl-C, or in the terminal until the run is finished."""
    if not 0.2 <= options.interval <= 3600:
        raise UsageError(f"--interval {options.interval}: give seconds from 0.2 to 3600")
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port {options.port}: give a number from 0 to 65535")
    if options.run.exists() and not options.run.is_dir():
        raise UsageError(f"{options.run}: a file. Give the output folder of a run")
    try:
        if options.terminal:
            from electra_hf.sharing.report.terminal import watch_in_terminal

            watch_in_terminal(options.run, interval=options.interval)
        else:
            from electra_hf.sharing.report.server import serve

            serve(options.run, host=options.host, port=options.port, interval=options.interval)
    except KeyboardInterrupt:
        return
