"""The first page and the Python of all pages, run for real on sixty short documents."""

import ast
import contextlib
import importlib
import io
import shutil

import pytest
import torch
from blocks import Block, blocks, commands
from stand_in import PRETRAINING, SIZES, run_here, write_texts

PYTHON = [block for block in blocks() if block.language == "python"]
# Folders that the code of a page loads; each is a copy of the first page's run.
LOADED = {
    "README.md": "outputs/mine",
    "docs/index.md": "outputs/first",
    "docs/faq.md": "outputs/first",
    "docs/your_language.md": "outputs/electra-small-ko",
}
# Code that trains: what is made smaller, so that it takes seconds.
REDUCED = {
    "docs/api/index.md": {
        "max_steps=100": 'max_steps=2, use_cpu=True, report_to="none"',
        "2048": "300",
        "import PythonDocs": "import LocalFiles",
        "PythonDocs()": 'LocalFiles(["texts/*.txt"])',
    }
}
# Code that cannot run here, and why; its imports do.
IMPORTED_ONLY = {
    "docs/cluster.md": "submits jobs to Slurm",
    "docs/export.md": "needs exported folders; the tests of exports run these pieces, and read them from the page",
    "docs/hub.md": "loads a revision from the Hub; test_pushing_scripts.py does so from a stand-in",
    "docs/tagging.md": "loads a tagger with a CRF; test_pages_for_real.py runs it after the page's commands",
    "docs/backbones.md": "one line for a model of the reader's; run on a model below",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory, hf_cache):
    """A folder with texts/, in which the first page's commands have been carried out."""
    folder = tmp_path_factory.mktemp("first")
    write_texts(folder)
    (page,) = [b for b in blocks() if b.page == "docs/index.md" and "run_pretraining.py" in b.text]
    with contextlib.chdir(folder):
        (train, detect, curves) = commands(page, tmp_path_factory.mktemp("recorded"))
        run_here([*train[1:], *PRETRAINING, "--vocab_size", "300", "--config_overrides", SIZES])
        shown = run_here(detect)
        drawn = run_here(curves)
    return folder, shown, drawn


def test_commands_of_the_first_page_run(place):
    folder, shown, drawn = place
    assert (folder / "outputs/first/model.safetensors").is_file()
    assert "suspected" in shown and 'AutoModel.from_pretrained("outputs/first")' in shown
    assert "training_curves.png" in drawn and (folder / "outputs/first/training_curves.png").is_file()


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_of_the_pages_runs(block: Block, place, monkeypatch):
    folder, _, _ = place
    monkeypatch.chdir(folder)
    text = block.text
    if block.page in IMPORTED_ONLY:
        import_all(text)
        return
    if block.page in LOADED:
        if not (folder / LOADED[block.page]).exists():
            shutil.copytree("outputs/first", LOADED[block.page])
    else:
        for old, new in REDUCED[block.page].items():
            assert old in text
            text = text.replace(old, new)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(text, str(block), "exec"), {"__name__": "__main__"})
    assert "print(" not in text or printed.getvalue()


def import_all(text: str) -> None:
    """Carry out the import statements of a piece of code: modules and names must exist."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)


def test_each_piece_of_python_is_in_one_table():
    tables = (LOADED, REDUCED, IMPORTED_ONLY)
    for page in {block.page for block in PYTHON}:
        assert sum(page in table for table in tables) == 1, page
    assert {page for table in tables for page in table} == {block.page for block in PYTHON}


def test_padding_is_kept_out_as_the_page_on_backbones_says():
    from transformers import ConvBertConfig, ConvBertModel

    (block,) = [block for block in PYTHON if block.page == "docs/backbones.md"]
    sizes = {"hidden_size": 16, "embedding_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    model = ConvBertModel(ConvBertConfig(vocab_size=32, num_hidden_layers=1, **sizes)).eval()
    exec(block.text, {"model": model})
    ids = torch.tensor([[2, 7, 8, 3, 0, 0]])
    padded = model(ids, attention_mask=(ids > 0).long()).last_hidden_state[:, :4]
    torch.testing.assert_close(padded, model(ids[:, :4]).last_hidden_state)
