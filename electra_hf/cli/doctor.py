"""`electra-hf doctor`: the environment, for bug reports and for people who wonder why something does not work."""

import argparse
import json
import sys
from typing import Any

from electra_hf.errors import ElectraHfError


def add_commands(commands: Any) -> None:
    """Describe the command to the parser of `electra-hf`."""
    parser = commands.add_parser(
        "doctor",
        help="what this machine has, checked, ready to be pasted into a bug report",
        description="Print versions, processor, GPUs, kernels, settings and disks, and what is wrong with them, as "
        "Markdown. Tokens are never printed, and your home folder is written as ~. The exit code is 1 if something is "
        "broken.",
    )
    parser.add_argument("--offline", action="store_true", help="do not ask the Hub whether it can be reached")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    parser.set_defaults(action=examine)


def examine(options: argparse.Namespace) -> None:
    """`electra-hf doctor`: look at everything, then print it."""
    from electra_hf.diagnosis import as_markdown, broken, look_around

    found = look_around(offline=options.offline)
    sys.stdout.write(json.dumps(found, indent=1) + "\n" if options.json else as_markdown(found))
    sys.stdout.flush()
    if failures := broken(found):
        raise ElectraHfError("; ".join(failures))
