"""Files of the small study, made once; each test gets a study of its own to change."""

from pathlib import Path
from typing import Any

import pytest
from tiny_study import content, make_files


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpus, tokenizer and labelled sentences; not to be changed."""
    folder = tmp_path_factory.mktemp("study")
    make_files(folder)
    return folder


@pytest.fixture
def study(files: Path) -> dict[str, Any]:
    """The content of a study's file."""
    return content(files)
