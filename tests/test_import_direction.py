"""The path of the data goes one way through the package, and so do the imports (docs/design.md)."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "electra_hf"

# Room -> rooms it may use besides itself. `cli` may use everything; `errors` may be used by all and uses nothing;
# `ranges` and `parser`, which know no option by themselves, and `bands` and `json_lines` use only that.
MAY_USE: dict[str, set[str]] = {
    "errors": set(),
    "ranges": set(),
    "bands": set(),
    "json_lines": set(),
    "option_help": set(),
    "parser": {"option_help"},
    "corpora": set(),
    "models": set(),
    "tokens": {"corpora"},
    "training": {"ranges", "bands", "json_lines", "parser", "corpora", "models", "tokens"},
    "finetuning": {"ranges", "parser", "corpora", "models", "tokens", "training"},
    "sharing": {"bands", "json_lines", "models"},
    "diagnosis": {"models"},
    "planning": {"ranges", "parser", "corpora", "models", "tokens", "training", "sharing"},
    "study": {"ranges", "parser", "corpora", "models", "tokens", "training", "finetuning"},
    "cli": {
        "ranges",
        "bands",
        "json_lines",
        "parser",
        "option_help",
        "corpora",
        "models",
        "tokens",
        "training",
        "finetuning",
        "sharing",
        "planning",
        "diagnosis",
        "study",
    },
}


def rooms_used(source: str, module: str) -> set[str]:
    """The rooms of electra_hf that the source of a module imports, also inside functions.

    Args:
        source: Python source.
        module: Its dotted name with the package's own `__init__` spelt out, for relative imports.
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names += [f"{base}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "electra_hf" and len(part) > 1 and part[1] != "__version__"}


def violations(source: str, module: str) -> set[str]:
    room = module.split(".")[1]
    return rooms_used(source, module) - MAY_USE[room] - {room, "errors"}


def modules() -> list[tuple[str, Path]]:
    files = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")
    return [(".".join(["electra_hf", *file.relative_to(PACKAGE).with_suffix("").parts]), file) for file in files]


@pytest.mark.parametrize(("module", "file"), modules(), ids=[module for module, _ in modules()])
def test_a_module_imports_only_what_lies_before_it(module: str, file: Path):
    assert module.split(".")[1] in MAY_USE, f"{module}: a new room needs a line in MAY_USE and in docs/design.md"
    assert violations(file.read_text(encoding="utf-8"), module) == set()


def test_the_package_itself_imports_nothing_of_its_rooms():
    source = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    assert rooms_used(source, "electra_hf.__init__") == set()


def test_the_direction_has_no_circle():
    order = [
        "errors",
        "ranges",
        "bands",
        "json_lines",
        "option_help",
        "parser",
        "corpora",
        "models",
        "tokens",
        "training",
        "finetuning",
        "sharing",
        "diagnosis",
        "planning",
        "study",
        "cli",
    ]
    for room, used in MAY_USE.items():
        assert all(order.index(other) < order.index(room) for other in used)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import electra_hf.training.trainer", {"training"}),
        ("from electra_hf.sharing import curves", {"sharing"}),
        ("from electra_hf import tokens, __version__", {"tokens"}),
        ("from ..training import trainer", {"training"}),
        ("from .. import cli", {"cli"}),
        ("def f():\n    from electra_hf.tokens.masking import mask", {"tokens"}),
        ("from . import sampling\nfrom .sampling import gumbel\nfrom electra_hf.errors import UsageError", set()),
        ("import torch\nfrom transformers import Trainer", set()),
    ],
)
def test_the_check_sees_every_way_to_import(source: str, found: set[str]):
    assert violations(source, "electra_hf.models.backbones") == found
