"""Every block of commands in README and docs is read by bash, and each command's options by its own parser.

What runs for real, at reduced sizes, is in test_first_page.py (quick) and test_pages_for_real.py (slow).
"""

import argparse
import configparser
import importlib
import re
import runpy
import sys

import parsers
import pytest
from blocks import PAGES, ROOT, Block, blocks, commands

from electra_hf.errors import ElectraHfError

# Options of other people's programs that pages name.
FOREIGN = {
    "docs/cluster.md": {"--kill-on-invalid-dep"},
    "docs/corpora.md": {"--no-templates"},
    "docs/reliability.md": {"--signals-to-handle"},
    "docs/several_gpus.md": {"--signal"},
    "docs/coming_from.md": {
        *(
            "--blanks-separate-docs",
            "--corpus-dir",
            "--hparams",
            "--line_by_line",
            "--low_cpu_mem_usage",
            "--model-name",
        ),
        *("--no-lower-case", "--no-strip-accents", "--num-processes", "--torch_dtype", "--trust_remote_code"),
        *("--use_fast_tokenizer", "--vocab-file"),
    },
}
COMMANDS = [block for block in blocks() if block.language == "bash"]
# Commands of other people's programs, which cannot be read by a parser of ours.
OUTSIDE = {
    "wget": "downloads a dump; the address is Wikimedia's own",
    "git": "clones the repository, which has no public address yet",
    "hf": "huggingface_hub's login, which asks for a token",
    "pre-commit": "installs the hooks of .pre-commit-config.yaml",
    "python -c": "Python of one line, compiled below",
    "python space/app.py": "the copy that the command before it makes; test_space.py runs one",
    "python run_mlm.py": "transformers' own example, which is not part of its package",
}


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    """Recipes ask for bf16, which not every CPU of a test has; paths are those of the repository."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("electra_hf.training.training_arguments.cpu_has_bf16", lambda: True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recorded")


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_options_are_understood(block: Block, folder, capsys):
    called = commands(block, folder)
    assert called, f"{block}: no command"
    for words in called:
        try:
            check(words)
        except (ElectraHfError, SystemExit, LookupError) as error:
            if isinstance(error, SystemExit) and not error.code:
                continue  # what was asked for has been printed
            said = capsys.readouterr().err.strip()
            pytest.fail(f"{block}: {' '.join(words)}\n{said or error}")


def check(words: list[str]) -> None:
    """Let a command's own parser read its options."""
    program, rest = words[0], words[1:]
    if program == "options":
        # Options alone are of the source of text, which these commands share.
        parsers.parse_only(["run_pretraining.py", *rest])
    elif program == "electra-hf":
        parsers.parse_only(words)
    elif program == "accelerate":
        check_launch(rest)
    elif program == "python":
        check_python(rest)
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert rest[0] in targets, f"make has no target {rest[0]}"
    elif program == "pip":
        check_pip(rest)
    else:
        assert program in OUTSIDE, f"{program}: add it to the programs that are read, or to OUTSIDE with a reason"


def check_launch(words: list[str]) -> None:
    assert words[0] == "launch"
    options = accelerate_launch().parse_args(words[1:])
    assert options.config_file is None or (ROOT / options.config_file).is_file(), options.config_file
    check_python([options.training_script, *options.training_script_args])


def check_python(words: list[str]) -> None:
    script = words[0]
    if script == "-c":
        compile(words[1], "python -c", "exec")
    elif script == "-m":
        launcher = importlib.import_module(words[1])
        options = launcher.get_args_parser().parse_args(words[2:])
        check_python([options.training_script, *options.training_script_args])
    elif script.startswith(("benchmarks/", "tests/")):
        check_benchmark(words)
    elif script in parsers.SCRIPTS:
        # The file of an earlier run has the options of that run.
        parsers.parse_only(without_own_config(words))
    else:
        assert f"python {script}" in OUTSIDE, f"{script} is no script of this project"


def without_own_config(words: list[str]) -> list[str]:
    """The command without a `--config` that the reader's own run has written, or the reader."""
    kept = list(words)
    for index, word in enumerate(words):
        if word == "--config" and (words[index + 1].startswith("outputs/") or words[index + 1] == "my.yaml"):
            del kept[index : index + 2]
    return kept


def check_benchmark(words: list[str]) -> None:
    """Run the script up to its parser."""

    class Parsed(BaseException):
        pass

    def stop(self, arguments=None, namespace=None):
        _, rest = known(self, arguments, namespace)
        # A script that takes unknown ones itself hands them on to run_pretraining.py.
        raise Parsed(rest)

    def stop_strictly(self, arguments=None, namespace=None):
        _, rest = known(self, arguments, namespace)
        assert not rest, f"unknown options: {rest}"
        raise Parsed([])

    path = ROOT / words[0]
    known = argparse.ArgumentParser.parse_known_args
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Parsed) as parsed:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop_strictly)
        patch.setattr(argparse.ArgumentParser, "parse_known_args", stop)
        patch.setattr(sys, "argv", words)
        patch.syspath_prepend(str(path.parent))
        runpy.run_path(str(path), run_name="__main__")
    if rest := parsed.value.args[0]:
        parsers.parse_only(["run_pretraining.py", *rest])


def check_pip(words: list[str]) -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    known = set(settings["options.extras_require"])
    for extra in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert set(extra.split(",")) <= known, f"setup.cfg has no extra {extra}"
    for before, file in zip(words, words[1:], strict=False):
        assert before != "-c" or (ROOT / file).is_file(), file


def test_options_that_pages_name_exist():
    known = [parsers.parser_of([script]) for script in parsers.SCRIPTS]
    known += [*parsers.console_commands().values(), accelerate_launch()]
    names = {option for parser in known for option in parser._option_string_actions} | {"--no_NAME", "--version"}
    for path in PAGES:
        page = str(path.relative_to(ROOT))
        named = set(re.findall(r"`(--[a-zA-Z][\w-]*)", path.read_text(encoding="utf-8")))
        assert not named - names - FOREIGN.get(page, set()), page
        assert FOREIGN.get(page, set()) <= named, f"{page} no longer names all of FOREIGN"


def accelerate_launch() -> argparse.ArgumentParser:
    return importlib.import_module("accelerate.commands.launch").launch_command_parser()


def test_commands_that_bash_would_not_run_are_found(tmp_path):
    with pytest.raises(AssertionError, match="bash says"):
        commands(Block("x.md", 1, "bash", "python run_glue.py &&\n"), tmp_path)
    with pytest.raises(AssertionError, match="bash says"):
        commands(Block("x.md", 1, "bash", "no-such-program --help\n"), tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ["python", "run_pretraining.py", "--no_such_option", "1", "--output_dir", "x"],
        ["python", "run_glue.py", "--config", "configs/no-such-file.yaml"],
        ["accelerate", "launch", "--no_such_option", "run_glue.py"],
        ["electra-hf", "prepare", "--packing", "no-such-packing", "--output_dir", "x"],
        ["electra-hf", "no-such-command"],
        ["python", "benchmarks/crf_cost.py", "--no_such_option"],
    ],
    ids=" ".join,
)
def test_wrong_options_are_found(words):
    with pytest.raises((ElectraHfError, SystemExit, AssertionError)):
        check(words)


def test_loops_and_quotes_are_bashs(tmp_path):
    block = Block("x.md", 1, "bash", "for t in a b; do\n    python x.py --t $t --f 'a *' \\\n  --e ''\ndone  # two\n")
    assert commands(block, tmp_path) == [["python", "x.py", "--t", t, "--f", "a *", "--e", ""] for t in "ab"]
