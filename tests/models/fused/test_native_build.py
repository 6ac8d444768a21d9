"""Building the kernels: what is said where it cannot be done, and what is used instead."""

import logging

import pytest

from electra_hf.errors import UsageError
from electra_hf.models.fused import KernelError, TorchOperations, native, operations


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """A machine that has built nothing yet."""
    monkeypatch.setattr(native, "HF_HOME", str(tmp_path))
    native.native_operations.cache_clear()
    operations.cpu_operations.cache_clear()
    yield tmp_path
    native.native_operations.cache_clear()
    operations.cpu_operations.cache_clear()


def test_without_a_compiler_torch_takes_over_and_says_so(elsewhere, monkeypatch, caplog):
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    with caplog.at_level(logging.INFO, logger="electra_hf"):
        assert isinstance(operations.cpu_operations("auto"), TorchOperations)
    assert "there is no C++ compiler: install g++" in caplog.text
    with pytest.raises(UsageError, match="no C\\+\\+ compiler"):
        operations.cpu_operations("native")


def test_a_compiler_that_fails_is_quoted(elsewhere, monkeypatch):
    compiler = elsewhere / "c++"
    compiler.write_text("#!/bin/sh\necho 'out of registers' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(KernelError, match="out of registers"):
        native.native_operations()
    assert not list((elsewhere / "electra_hf" / "kernels").iterdir())


def test_a_library_that_cannot_be_loaded_is_named(elsewhere, monkeypatch):
    compiler = elsewhere / "c++"
    compiler.write_text('#!/bin/sh\nfor last; do :; done\necho nonsense > "$last"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(KernelError, match=r"kernels/\w+\.so cannot be loaded .*delete it"):
        native.native_operations()


def test_built_once(elsewhere):
    try:
        native.native_operations()
    except KernelError as error:
        pytest.skip(f"no compiled kernels here: {error}")
    (library,) = (elsewhere / "electra_hf" / "kernels").iterdir()
    made = library.stat().st_mtime_ns
    native.native_operations.cache_clear()
    native.native_operations()
    assert library.stat().st_mtime_ns == made
