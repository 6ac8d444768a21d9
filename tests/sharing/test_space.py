"""The folder of a Space: its files, and the page in a real browser without electra_hf."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import RepoCard

from electra_hf.cli import run
from electra_hf.errors import UsageError
from electra_hf.sharing import demo
from electra_hf.sharing.space import write_space

CHROMIUM = shutil.which("chromium")
pytest.importorskip("gradio")
# The Space's environment: everything is installed but this package.
WITHOUT_US = "import runpy, sys; sys.modules['electra_hf'] = None; runpy.run_path('app.py', run_name='__main__')"


def test_a_space_of_a_repository_holds_code_and_its_name(tmp_path: Path, run_folder: Path):
    files = write_space(tmp_path / "space", str(run_folder), ["A cat."], hub_model_id="me/my-electra")
    names = {str(file.relative_to(tmp_path / "space")) for file in files}
    code = {f"electra_demo/{file.name}" for file in Path(demo.__path__[0]).glob("*.py")}
    assert names == {"app.py", "requirements.txt", "README.md", "examples.txt"} | code
    assert 'MODEL = "me/my-electra"\n' in (tmp_path / "space" / "app.py").read_text()
    card = RepoCard.load(tmp_path / "space" / "README.md", repo_type="space").data.to_dict()
    assert card["models"] == ["me/my-electra"]
    assert (card["sdk"], card["app_file"], card["title"]) == ("gradio", "app.py", "Try my-electra")
    compile((tmp_path / "space" / "app.py").read_text(), "app.py", "exec")


def test_a_space_has_one_model_and_a_folder_of_its_own(tmp_path: Path, run_folder: Path):
    with pytest.raises(UsageError, match="a Space cannot see: give --hub_model_id OWNER/NAME"):
        write_space(tmp_path / "space", str(run_folder), ["A cat."])
    with pytest.raises(UsageError, match="--copy_model copies the files of a folder"):
        write_space(tmp_path / "space", "me/my-electra", ["A cat."], copy_model=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    with pytest.raises(UsageError, match="it holds other files"):
        write_space(tmp_path / "thesis", "me/my-electra", ["A cat."])


def test_writing_again_leaves_no_copy_of_an_old_model(tmp_path: Path, run_folder: Path):
    (run_folder / "training_args.bin").touch()
    files = write_space(tmp_path / "space", str(run_folder), ["A cat."], copy_model=True)
    copied = {file.relative_to(tmp_path / "space" / "model").as_posix() for file in files if "model" in file.parts}
    assert {"config.json", "model.safetensors", "generator/model.safetensors", "tokenizer.json"} <= copied
    assert not {"training_args.bin", "trainer_state.json", "eval_results.json"} & copied
    write_space(tmp_path / "space", "me/my-electra", ["A cat."])
    assert not (tmp_path / "space" / "model").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH")
def test_a_space_runs_without_this_package_and_asks_nobody_else(tmp_path: Path, run_folder: Path, capsys):
    from playwright.sync_api import sync_playwright

    run(["demo", str(run_folder), "--as-space", str(tmp_path / "space"), "--copy_model", "--title", "My cat"])
    assert "Look at examples.txt" in capsys.readouterr().out
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    address, asked, complaints = f"http://127.0.0.1:{port}", [], []
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = tmp_path / "log"
    with open(log, "wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_US], cwd=tmp_path / "space", env=environment, stdout=output, stderr=output
        )
    try:
        _wait_for(port, server, log)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
            )
            page = browser.new_page(viewport={"width": 390, "height": 844})
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(address)
            page.get_by_role("heading", name="My cat").wait_for()
            text = page.get_by_label("Text").locator("visible=true")
            text.fill("the cat sat on the mat")
            page.get_by_role("button", name="Swap and detect").click()
            page.wait_for_selector("#swap-result .eh-summary")
            assert "the cat sat on the mat" in page.inner_text("#swap-result")
            assert len(page.locator("#swap-result .eh-text .eh-percent").all()) == 6

            page.get_by_role("tab", name="Judge").click()
            text.fill("a <b>dog</b> ran")
            page.get_by_role("button", name="Judge", exact=True).click()
            page.wait_for_selector("#judge-result .eh-summary")
            assert "tokens suspected (from 50% on)" in page.inner_text("#judge-result .eh-summary")

            page.get_by_role("tab", name="Fill").click()
            text.fill("the dog")
            page.get_by_role("button", name="Fill", exact=True).click()
            page.wait_for_selector("#fill-result >> text=write [MASK] in the place of a word")
            text.fill("the [MASK] sat on the [MASK]")
            page.get_by_role("button", name="Fill", exact=True).click()
            page.wait_for_selector("#fill-result >> text=Mask 2 of 2")
            assert len(page.locator("#fill-result .eh-bar").all()) == 10
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            browser.close()
    finally:
        server.kill()
        server.wait()
    assert complaints == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def _wait_for(port: int, server: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())
