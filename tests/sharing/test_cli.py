"""The console command `electra-hf`, as a newcomer meets it: what it prints and how it leaves."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from electra_hf import __version__
from electra_hf.cli import main


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def leave(*arguments: object) -> int | str | None:
    """Run the command; returns the code it leaves with."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code


def test_detect_on_a_run_shows_the_held_out_texts_the_metrics_and_what_to_do_next(run_folder: Path, capsys):
    (run_folder / "training_curves.png").touch()
    assert not leave("detect", run_folder, "--num", 2)
    output = capsys.readouterr().out
    assert "All 2 texts:" in output
    assert "detection AUC" in output
    assert f"{run_folder / 'training_curves.png'}\n" in output
    assert f'AutoModel.from_pretrained("{run_folder}")\n' in output
    assert "accelerate launch run_pretraining.py --config configs/pretraining/electra-small.yaml" in output


def test_detect_without_a_picture_says_how_to_draw_it(run_folder: Path, capsys):
    assert not leave("detect", run_folder, "--text", "a cat")
    assert f"electra-hf curves {run_folder}\n" in capsys.readouterr().out


def test_detect_takes_texts_and_files_and_another_seed_gives_other_swaps(run_folder: Path, tmp_path: Path, capsys):
    text = "the cat sat on the mat and a dog ran home"
    (tmp_path / "texts").write_text(text, encoding="utf-8")
    outputs = []
    for options in (["--text", text], ["--file", tmp_path / "texts"], ["--text", text, "--seed", 5]):
        assert not leave("detect", run_folder, *options)
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]


def test_detect_without_a_generator_says_so(run_folder: Path, capsys):
    shutil.rmtree(run_folder / "generator")
    assert not leave("detect", run_folder, "--text", "a cat", "--text", "a dog")
    output = capsys.readouterr().out
    assert "scored as they are" in output
    assert "All 2 texts" in output


def test_curves_draws_into_the_run_or_elsewhere(run_folder: Path, tmp_path: Path, capsys):
    assert not leave("curves", run_folder)
    assert not leave("curves", run_folder, "--output", tmp_path / "other.png")
    assert (run_folder / "training_curves.png").stat().st_size > 10_000
    assert capsys.readouterr().out.splitlines() == [
        str(run_folder / "training_curves.png"),
        str(tmp_path / "other.png"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["curves", "nowhere"], 1),
        (["detect", "./nowhere"], 1),
        (["detect", "x", "--num", "0"], 2),
        (["sing"], 2),
        ([], 2),
    ],
)
def test_errors_are_one_line_and_an_exit_code(arguments: list[str], code: int, capsys):
    assert leave(*arguments) == code
    error = capsys.readouterr().err
    assert "error: " in error
    assert "Traceback" not in error


def test_the_version_is_told_without_loading_the_heavy_libraries():
    program = (
        "import sys\nfrom electra_hf.cli import main\ntry:\n    main(['--version'])\n"
        "finally:\n    assert not {'torch', 'transformers', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, f"electra_hf {__version__}")
