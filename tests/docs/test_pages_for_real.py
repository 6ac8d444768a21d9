"""The commands of a page one after the other, for real and small: each finds what those before it have left.

Slow: `make test-docs`, or `pytest -m slow tests/docs`.
"""

import contextlib
import shutil
from pathlib import Path

import pytest
from blocks import blocks, commands
from reduction import make_hub, make_world, reduced, why_not, without_launcher
from stand_in import PRETRAINING, SIZES, link_repository, run_here

COMMANDS = [block for block in blocks() if block.language == "bash"]
# Studies on other people's text, whose figures are their results; test_documented_commands.py reads their options.
FIGURES = ("docs/results.md", "docs/performance.md", "docs/sizes.md")
PAGES = sorted({block.page for block in COMMANDS} - set(FIGURES))


@pytest.fixture(scope="module")
def models(tmp_path_factory, hf_cache):
    """Published models, and a folder of the project's own making."""
    folder = tmp_path_factory.mktemp("published")
    make_world(folder)
    sizes = ("--train_tokenizer", "--vocab_size", "400", "--config_overrides", f"embedding_size=32,{SIZES}")
    with contextlib.chdir(folder):
        text = ("--train_file", "texts/*.txt", "--output_dir", "run", "--do_eval")
        run_here(["run_pretraining.py", *text, *sizes, *PRETRAINING])
        electric = ("--objective", "electric", "--tokenizer_name", "run", "--output_dir", "hub/electric")
        run_here(["run_pretraining.py", "--train_file", "texts/*.txt", *electric, *sizes[3:], *PRETRAINING])
    make_hub(folder, folder / "run")
    return folder / "hub"


def test_every_command_is_run_or_has_a_reason(tmp_path):
    kept = {block.page: [why_not(words) for words in commands(block, tmp_path)] for block in COMMANDS}
    assert all(reason is None or len(reason) > 4 for reasons in kept.values() for reason in reasons)
    assert any(None in reasons for reasons in kept.values())


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_of_the_page_run(page, models, tmp_path, tmp_path_factory, monkeypatch):
    recorded = tmp_path_factory.mktemp("recorded")
    make_world(tmp_path)
    link_repository(tmp_path)
    (tmp_path / "hub").symlink_to(models)
    failures = []
    with contextlib.chdir(tmp_path):
        for block in (block for block in COMMANDS if block.page == page):
            for words in commands(block, recorded):
                if why_not(words):
                    continue
                make_room(without_launcher(words), models)
                try:
                    with contextlib.closing(open("hypotheses.txt", encoding="utf-8")) as lines:
                        monkeypatch.setattr("sys.stdin", lines)
                        run_here(reduced(words))
                except AssertionError as error:
                    failures.append(f"{block}: {error}")
        for block in blocks():
            if block.page == page == "docs/tagging.md" and block.language == "python":
                exec(compile(block.text, str(block), "exec"), {})
    assert not failures, "\n\n".join(failures)


def make_room(words: list[str], models: Path) -> None:
    """What earlier pages would have left is there, and no folder of a run that is begun anew."""
    given = dict(zip(words, words[1:], strict=False))
    output = given.get("--output_dir", "")
    if words[:2] == ["electra-hf", "compare"]:
        run = next(file.parent for file in sorted(Path("outputs").glob("*/finetuning_config.yaml")))
        for missing in [word for word in words[2:] if word.startswith("outputs/") and not Path(word).exists()]:
            if missing != given.get("--output"):
                shutil.copytree(run, missing)
        return
    read = [
        given.get("--model_name_or_path", ""),
        given.get("--tokenizer_name", ""),
        *(word for word in words[2:4] if not word.endswith(".yaml")),
    ]
    read.append(str(Path(given.get("--config", "")).parent))
    for name in read:
        folder = name.split("/checkpoint-")[0]
        if folder.startswith(("outputs/", "tokenizers/")) and not Path(folder).exists() and folder != output:
            shutil.copytree(models / ("electric" if "electric" in folder else "electra"), folder)
        if "/checkpoint-" in name and not Path(name).exists():
            shutil.copytree(Path(folder, "checkpoint-2"), name)
    if output and Path(output).exists() and not {"--resume_from_checkpoint", "--inspect"} & set(words):
        shutil.rmtree(output)
