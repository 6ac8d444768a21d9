"""The examples in the docstrings run.

Not through `--doctest-modules`, which imports every conftest.py under one name and so stops a run over chosen folders.
"""

import doctest
import importlib
import pkgutil

import pytest

import electra_hf

MODULES = [module.name for module in pkgutil.walk_packages(electra_hf.__path__, "electra_hf.") if not module.ispkg]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) >= 5
