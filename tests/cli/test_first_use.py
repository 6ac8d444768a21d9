"""`electra-hf --help` answers at once, lists every command, and the Tab key knows them all."""

import argparse
import shutil
import subprocess
import sys

import pytest

from electra_hf.cli import STAGES, build_parser
from electra_hf.cli.completion import SHELLS, completion_script

HEAVY = {"torch", "transformers", "datasets", "numpy", "plotly", "gradio", "matplotlib", "rich", "shtab", "yaml"}


@pytest.mark.parametrize("arguments", [["--help"], ["detect", "--help"], ["doctor", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    program = (
        f"import sys\nfrom electra_hf.cli import main\ntry:\n    main({arguments!r})\n"
        f"finally:\n    print('heavy:', *sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "heavy:"), done.stderr


def command_names(parser: argparse.ArgumentParser) -> list[str]:
    return list(next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices)


def test_every_command_is_listed_at_its_stage():
    parser = build_parser()
    lines = parser.format_help().splitlines()
    for name in command_names(parser):
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1
        assert any(name in names for names in STAGES.values()), f"give {name} a stage in electra_hf/cli/__init__.py"
    assert [line[:-1] for line in lines if line[:-1] in STAGES] == list(STAGES)


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("completion") / "electra-hf.bash"
    path.write_text(completion_script(build_parser(), "bash"))
    return str(path)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash on the PATH")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["doc"], ["doctor"]),
        (["detect", "--tex"], ["--text"]),
        (["plan", "--max_st"], ["--max_steps"]),
        (["prepare", "--packing", "el"], ["electra"]),
        (["tokenizer", "tr"], ["train"]),
        (["tokenizer", "train", "--kind", "uni"], ["unigram"]),
        (["study", "--dry"], ["--dry_run"]),
    ],
)
def test_bash_completes(bash_script, words, expected):
    quoted = " ".join(["electra-hf", *words])
    program = (
        f"source {bash_script}\nCOMP_WORDS=({quoted})\nCOMP_CWORD={len(words)}\n_shtab_electra_hf\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_every_shell_knows_commands_and_options(shell):
    script = completion_script(build_parser(), shell)
    for word in ("submission", "prepared_dir", "max_seq_length"):
        assert word in script
    assert "--max-seq-length" not in script


def test_it_is_printed_for_the_shell(capsys):
    with pytest.raises(SystemExit) as leaving:
        build_parser().parse_args(["--print-completion", "bash"])
    assert leaving.value.code == 0
    assert "complete -o bashdefault -F _shtab_electra_hf electra-hf" in capsys.readouterr().out
