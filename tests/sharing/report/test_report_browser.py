"""The page in a real browser: it draws, asks for nothing, fits a phone, and follows a run."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_report import HOSTILE, log_rows, observation

from electra_hf.sharing.report.content import content_of
from electra_hf.sharing.report.page import render_page
from electra_hf.sharing.report.runs import find_runs
from electra_hf.sharing.report.server import make_server

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)  # milliseconds: machines of continuous integration are slow
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


class Visit:
    """A page that was opened, with what went wrong and what it asked for."""

    def __init__(self, browser: Browser, address: str, width: int = 1280):
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="light")
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.problems.extend([message.text] * (message.type == "error")))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        self.page.wait_for_selector("#figures .plot svg.main-svg")

    @property
    def overflow(self) -> int:
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.fixture
def report(make_run, fine_tuned: Path, tmp_path: Path) -> str:
    runs = find_runs([make_run("a"), make_run("b"), fine_tuned], ["first", HOSTILE, "tuned"])
    file = tmp_path / "report.html"
    file.write_text(render_page(content_of(runs)), encoding="utf-8")
    return file.as_uri()


def test_the_report_draws_and_asks_for_nothing(browser: Browser, report: str):
    visit = Visit(browser, report)
    page = visit.page
    assert page.locator("#figures figure").count() >= 10
    # Training and held-out values of two runs.
    assert page.evaluate("document.querySelector('#figure-loss .plot').data.length") == 4
    page.get_by_role("button", name="first").click()
    assert page.evaluate("document.querySelector('#figure-loss .plot').data.length") == 2
    page.get_by_role("button", name="first").press("Enter")
    page.get_by_role("button", name="by tokens").click()
    assert page.evaluate("document.querySelector('#figure-loss .plot').data[0].x.at(-1)") == 60 * 2048
    page.get_by_role("button", name="log scale").click()
    assert page.evaluate("document.querySelector('#figure-loss .plot').layout.yaxis.type") == "log"
    assert page.locator("#scores-figures .plot svg.main-svg").count() > 0
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    assert page.title().startswith("3 runs")  # the hostile name has not run
    assert page.locator("img").count() == 0
    assert visit.problems == [] and visit.requests == [report]
    page.close()


def test_a_phone_shows_all_and_texts_follow_the_slider(browser: Browser, report: str):
    visit = Visit(browser, report, width=390)
    assert visit.overflow == 0
    page, texts = visit.page, visit.page.locator("#samples-text")
    expect(texts).to_contain_text("sixty")
    page.get_by_label("Time in the run").focus()
    page.keyboard.press("ArrowLeft")
    expect(texts).to_contain_text("one")
    expect(page.locator("#samples-step")).to_have_text("step 0")
    page.get_by_label("Later").click()
    expect(texts).to_contain_text("sixty")
    replaced = texts.get_by_role("button", name="sixty")
    for show in (replaced.hover, replaced.focus, replaced.click):
        page.keyboard.press("Escape")
        page.mouse.move(0, 0)
        replaced.blur()
        expect(page.locator("#tip")).to_be_hidden()
        show()
        expect(page.locator("#tip")).to_have_text("originally “cat”, suspicion 95 %")
    # The marks that do not depend on colour.
    assert "replaced" in (replaced.get_attribute("class") or "")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('#samples-text .suspected'), '::after').content")
        == '"?"'
    )
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) == "rgb(20, 23, 27)"
    assert visit.overflow == 0 and visit.problems == []
    page.close()


def drag_over(page: Page, plot: str) -> None:
    """Draw a frame over the middle of a figure, as one does to see it larger."""
    page.locator(plot).scroll_into_view_if_needed()
    box = page.locator(plot).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
    page.mouse.up()


def test_a_live_page_follows_the_run(browser: Browser, make_run):
    folder = make_run()
    server = make_server(folder, host="127.0.0.1", port=0, interval=0.2)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/"
        visit = Visit(browser, address)
        page = visit.page
        expect(page.locator("#status")).to_contain_text("step 60 of 100")
        page.get_by_label("Earlier").click()
        drag_over(page, "#figure-loss .plot")
        axis = "document.querySelector('#figure-{} .plot').layout.xaxis.range"
        zoomed = page.evaluate(axis.format("loss"))
        assert 0 < zoomed[0] < zoomed[1] < 60
        with (folder / "training_log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**log_rows(range(70, 71))[0], "loss": 1.25, "my_metric": 5.0}) + "\n")
        with (folder / "text_samples.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(observation(70, 0.9, "seventy")) + "\n")
        expect(page.locator("#status")).to_contain_text("step 70 of 100")
        expect(page.locator("#values")).to_contain_text("1.250")
        expect(page.locator("#figure-my_metric")).to_be_visible()
        assert page.evaluate("document.querySelector('#figure-loss .plot').data[0].y.at(-1)") == 1.25
        # What somebody looks at stays: the zoom, in all figures, and the time of the texts.
        for figure in ("loss", "rtd_auc", "my_metric"):
            assert page.evaluate(axis.format(figure)) == zoomed, figure
        expect(page.locator("#samples-step")).to_have_text("step 0")
        with (folder / "training_log.jsonl").open("a", encoding="utf-8") as file:
            file.write("damage\n")
        expect(page.get_by_role("alert")).to_contain_text("training_log.jsonl:")
        assert visit.overflow == 0 and visit.problems == []
        assert all(request.startswith(address) for request in visit.requests)
        page.close()
    finally:
        server.shutdown()
        server.server_close()
