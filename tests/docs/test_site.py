"""The site is built as by `make docs`, every link on it leads somewhere, and nothing is fetched from elsewhere."""

import doctest
import logging
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pictures
import pytest
from examples import fenced
from hooks import link_to_repository
from mkdocs.commands.build import build
from mkdocs.config import load_config
from options import groups
from parsers import SCRIPTS, console_commands, parser_of

ROOT = Path(__file__).parents[2]
# Attributes by which a browser fetches something at once, and elements whose links it only offers.
FETCHING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(HTMLParser):
    """What a page of the site holds: ids, links to follow, and what a browser fetches for it."""

    def __init__(self, path: Path):
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        for name in ("id", "name"):
            if values.get(name):
                self.ids.add(str(values[name]))
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        if FETCHING.get(tag) in values and values.get("rel") != "canonical":
            self.fetched.append(str(values[FETCHING[tag]]))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages by their path; strict: a warning of mkdocs, of mkdocstrings or of griffe fails the build."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder))
        warnings = _Warnings()
        logging.getLogger("mkdocs").addHandler(warnings)
        try:
            build(config)
        except BaseException as error:
            pytest.fail(f"{error}: {warnings.said}")
        finally:
            logging.getLogger("mkdocs").removeHandler(warnings)
    return {path.relative_to(folder).as_posix(): Page(path) for path in sorted(folder.rglob("*.html"))}


class _Warnings(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record):
        self.said.append(record.getMessage())


def test_links_and_anchors_lead_somewhere(site):
    broken = []
    for name, page in site.items():
        if name == "404.html":
            continue  # its links begin at the root of a server
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (Path("/") / name).parent.joinpath(unquote(parts.path)).as_posix() if parts.path else f"/{name}"
            target = str(Path(target).resolve()).lstrip("/") if parts.path else name
            target = f"{target}/index.html".lstrip("/") if target and "." not in Path(target).name else target
            if target not in site:
                broken.append(f"{name}: {link}")
            elif parts.fragment and unquote(parts.fragment) not in site[target].ids:
                broken.append(f"{name}: {link} (no such anchor)")
    assert not broken
    assert sum(len(page.links) for page in site.values()) > 1000


def test_links_outwards_are_addresses(site):
    outwards = {link for page in site.values() for link in page.links if urlsplit(link).scheme}
    assert {urlsplit(link).scheme for link in outwards} == {"https"}
    assert any("arxiv.org" in link for link in outwards)


def test_nothing_is_fetched_from_elsewhere(site):
    for name, page in site.items():
        assert not [file for file in page.fetched if urlsplit(file).netloc], name


def test_every_page_of_the_guides_is_on_the_site(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= set(site)
    assert "search/search_index.json" not in site and "index.html" in site


def test_options_page_has_every_option(site):
    words = " ".join(site["cli.html"].words)
    names = [
        action.option_strings[0]
        for parser in [*(parser_of([script]) for script in SCRIPTS), *console_commands().values()]
        for _, actions in groups(parser)
        for action in actions
        if action.option_strings
    ]
    assert len(names) > 300
    assert not [name for name in set(names) if name not in words]


def test_links_out_of_docs_follow_the_repository():
    text = "[a](../configs/pretraining/electra-small.yaml) [b](results.md#x) [c](https://arxiv.org) ![d](../x.png)"
    assert link_to_repository(text, "page.md", None) == text.replace(
        "[a](../configs/pretraining/electra-small.yaml)", "a (`configs/pretraining/electra-small.yaml`)"
    )
    assert "](https://host/x/blob/main/configs/" in link_to_repository(text, "page.md", "https://host/x/")
    assert link_to_repository("[home](../README.md)", "page.md", None) == "[home](index.md)"
    assert link_to_repository("[home](../../README.md)", "api/page.md", None) == "[home](../index.md)"
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        link_to_repository("[a](../no-such-file)", "page.md", None)


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_pictures_are_those_of_their_script(name):
    svg = (ROOT / "docs" / "images" / f"{name}.svg").read_text(encoding="utf-8")
    assert svg == pictures.PICTURES[name]()


@pytest.mark.parametrize("function", [link_to_repository, fenced])
def test_examples_of_the_site_s_own_functions(function):
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(function, globs=dict(function.__globals__)):
        runner.run(test)
    assert runner.summarize().attempted and not runner.summarize().failed
