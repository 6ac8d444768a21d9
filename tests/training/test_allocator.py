import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import electra_hf.training.allocator
from electra_hf.training import PretrainingArguments, PretrainingTrainer, base_trainer

# In a process of its own: what mallopt sets stays. 64 MB are 16,384 pages.
COUNT_FAULTS = """
import resource, runpy, sys
tune = runpy.run_path(sys.argv[1])["tune_allocator"]
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        b"x" * (64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
usual = faults()
done = tune()
faults()
print(usual, done, faults())
"""


def count_faults(**environment: str) -> tuple[int, bool, int]:
    """Page faults for three large blocks, whether the allocator was tuned, and the page faults afterwards."""
    script = [sys.executable, "-c", COUNT_FAULTS, electra_hf.training.allocator.__file__]
    inherited = {
        name: value for name, value in os.environ.items() if "MALLOC" not in name and name != "GLIBC_TUNABLES"
    }
    output = subprocess.run(script, env=inherited | environment, check=True, capture_output=True, text=True).stdout
    usual, done, tuned = output.split()
    return int(usual), done == "True", int(tuned)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is no glibc to tune")
def test_freed_memory_stays_in_the_process():
    usual, done, tuned = count_faults()
    assert done
    assert usual > 10_000 and tuned < 100


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is no glibc to tune")
@pytest.mark.parametrize(
    "environment", [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.top_pad=131072"}]
)
def test_what_the_user_has_set_is_left_alone(environment):
    usual, done, later = count_faults(**environment)
    assert not done
    assert usual > 10_000 and later > 10_000


@pytest.mark.parametrize("wanted", [True, False])
def test_the_trainer_does_it_on_a_cpu_unless_told_not_to(make_model, tmp_path: Path, monkeypatch, wanted):
    called = []
    monkeypatch.setattr(base_trainer, "tune_allocator", lambda: called.append(True))
    args = PretrainingArguments(str(tmp_path), tune_allocator=wanted, use_cpu=True)
    PretrainingTrainer(model=make_model(), args=args)
    assert called == [True] * wanted
