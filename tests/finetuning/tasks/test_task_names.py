"""Names of tasks, and the table of them in the documentation."""

import re
from pathlib import Path

import pytest

from electra_hf.errors import UsageError
from electra_hf.finetuning.metrics import METRICS
from electra_hf.finetuning.tasks import GLUE_TASKS, TASKS, task_names
from electra_hf.finetuning.tasks.published import PUBLICATIONS

DOCUMENT = Path(__file__).parents[3] / "docs" / "tasks.md"


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ("sst2", ["sst2"]),
        ("SST-2, STS-B", ["sst2", "stsb"]),
        ("paws-x,marc-ja", ["pawsx", "marc_ja"]),
        ("ynat,nli,sts", ["klue_ynat", "klue_nli", "klue_sts"]),
        ("all", list(GLUE_TASKS)),
        ("rte,ALL,nsmc", ["rte", *(name for name in GLUE_TASKS if name != "rte"), "nsmc"]),
    ],
)
def test_names(argument: str, names: list[str]):
    assert task_names(argument) == names


@pytest.mark.parametrize(
    ("typo", "meant"), [("sst22", "sst2"), ("colla", "cola"), ("nmsc", "nsmc"), ("klue_ynt", "klue_ynat")]
)
def test_a_typo_names_the_nearest_task(typo: str, meant: str):
    with pytest.raises(UsageError, match=f"no such task: did you mean ({meant})\\?.*--train_file"):
        task_names(typo)


def test_glue_is_in_the_order_of_the_paper():
    assert GLUE_TASKS == ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")


def test_every_task_is_published_and_judged_by_known_metrics():
    assert TASKS.keys() == PUBLICATIONS.keys()
    for task in TASKS.values():
        assert set(task.metrics) <= METRICS.keys()
        assert (task.kind == "regression") == (not task.labels)


def documented() -> dict[str, list[str]]:
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if re.match(r"\| `\w+` \|", line)
    ]
    return {row[0].strip("`"): row for row in rows}


def test_the_document_has_every_task():
    assert list(documented()) == list(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_the_document_agrees_with_the_code(name: str):
    _, _, kind, metrics, labels, files, hub, rows = documented()[name]
    task, published = TASKS[name], PUBLICATIONS[name]
    assert kind == task.kind
    assert metrics == ", ".join(f"`{metric}`" for metric in task.metrics)
    assert labels == (", ".join(task.labels) or "a score")
    assert files == ", ".join(f"`{file}`" for names in published.files.values() for file in names)
    if published.hub is None:
        assert hub == "none"
    else:
        config = "the language" if published.hub.config == "{config}" else published.hub.config
        where = published.hub.name + (f" at {published.hub.revision}" if published.hub.revision else "")
        assert hub == where + (f", {config}" if config else "")
    assert rows == " / ".join(f"{number:,}" for number in published.rows.values())
