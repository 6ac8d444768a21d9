"""`electra-hf demo`: a model in the browser, here or as a Space of the Hub."""

import argparse
import sys
from pathlib import Path
from typing import Any

from electra_hf.errors import CheckpointError, UsageError

_MOST_EXAMPLES, _EXAMPLE_LENGTHS = 4, range(40, 241)  # characters


def add_commands(commands: Any) -> None:
    """Describe the command to the parser of `electra-hf`."""
    demo = commands.add_parser(
        "demo",
        help="try a model in the browser, or write the demo as a Space of the Hub",
        description="Serve a page that swaps words of a text and shows which ones the model suspects, judges texts of "
        "your own, and fills masks. Needs gradio: pip install 'electra_hf[demo]'.",
    )
    demo.add_argument("model", metavar="FOLDER_OR_HUB_ID", help="a run, a checkpoint of it, or a model of the Hub")
    demo.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other machines too (default: %(default)s)")
    demo.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    demo.add_argument(
        "--share", type=_boolean, nargs="?", const=True, default=False, metavar="true|false",
        help="a public address through a server of gradio, for a week (default: false)",
    )  # fmt: skip
    space = demo.add_argument_group("as a Space of the Hub")
    space.add_argument("--as_space", "--as-space", type=Path, metavar="FOLDER", help="write the demo there, and stop")
    space.add_argument("--hub_model_id", metavar="OWNER/NAME", help="where the Space loads the model from")
    space.add_argument("--copy_model", action="store_true", help="put the model's files into the Space instead")
    space.add_argument("--title", help="heading of the page (default: from the model's name)")
    demo.set_defaults(action=show_demo)


def show_demo(options: argparse.Namespace) -> None:
    """`electra-hf demo`: serve until Ctrl-C, or write the folder of a Space."""
    if options.port is not None and not 0 < options.port < 65536:
        raise UsageError(f"--port {options.port}: give a number from 1 to 65535")
    if options.as_space is None and (options.hub_model_id or options.copy_model):
        raise UsageError("--hub_model_id and --copy_model are for a Space: give --as-space FOLDER too")
    try:
        from electra_hf.sharing.demo.app import EXAMPLES, launch
    except ImportError as error:
        raise UsageError("the demo needs gradio: pip install 'electra_hf[demo]'") from error
    from electra_hf.models.checkpoint import LOADING_ERRORS, loading_problem
    from electra_hf.sharing.demo.loading import LoadingProblem, load_models

    try:
        # For a Space too: a model that cannot be loaded here would not load there.
        models = load_models(options.model)
    except LoadingProblem as error:
        raise CheckpointError(str(error)) from error
    except LOADING_ERRORS as error:
        raise CheckpointError(f"cannot load {options.model}: {loading_problem(error)}") from error
    examples = _examples(options.model) or list(EXAMPLES)
    if options.as_space is not None:
        from electra_hf.sharing.space import EXAMPLES_NAME, write_space

        files = write_space(
            options.as_space,
            options.model,
            examples,
            hub_model_id=options.hub_model_id,
            copy_model=options.copy_model,
            title=options.title,
        )
        size = sum(file.stat().st_size for file in files) / 1e6
        sys.stdout.write(
            f"{len(files)} files, {size:.1f} MB, in {options.as_space}\n"
            f"Look at {EXAMPLES_NAME} before you publish it: these sentences may come from the run's corpus.\n"
            f"Try it     python {options.as_space / 'app.py'}\n"
            f"Publish it hf upload OWNER/NAME {options.as_space} --repo-type space\n"
        )
        return
    try:
        launch(
            models,
            examples,
            title=options.title,
            server_name=options.host,
            server_port=options.port,
            share=options.share,
        )
    except OSError as error:
        # gradio has looked for a free port itself.
        raise UsageError(f"--port {options.port}, --host {options.host}: {error}") from error


def _examples(model: str) -> list[str]:
    """Held-out sentences of a run, those that fit a text box."""
    from electra_hf.sharing.detection import read_samples
    from electra_hf.sharing.samples import SAMPLES_NAME

    file = Path(model) / SAMPLES_NAME
    if not file.is_file():
        return []
    texts = read_samples(file)
    return [text for text in texts if len(text) in _EXAMPLE_LENGTHS][:_MOST_EXAMPLES]


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"give true or false, not {text}")
    return text.lower() == "true"
