"""One batch of 32 rows, however it is divided over accumulation steps and processes, is one gradient."""

import json

import pytest

# Without noise the result depends on the division of the batch through rounding alone.
NOISELESS = ("--temperature", "1e-6", "--dropout", "0", "--max_steps", "4", "--logging_steps", "1", "--seed", "5")


def train_rows(history: list[dict]) -> list[dict]:
    return [row for row in history if "loss" in row]


def assert_equal(one, other, tolerance=1e-6):
    rows, others = train_rows(one.result["history"]), train_rows(other.result["history"])
    assert len(rows) == len(others) == 4
    for row, expected in zip(rows, others, strict=True):
        assert row.keys() == expected.keys()
        for name in row:
            assert row[name] == pytest.approx(expected[name], rel=tolerance, abs=tolerance, nan_ok=True), (
                row["step"],
                name,
            )
    for name, norm in one.result["weights"].items():
        assert norm == pytest.approx(other.result["weights"][name], rel=tolerance, abs=tolerance), name
    final, expected = one.result["history"][-1], other.result["history"][-1]
    assert final["eval_rtd_auc"] == pytest.approx(expected["eval_rtd_auc"], abs=1e-4)
    for name in ("eval_loss", "eval_generator_loss", "eval_rtd_loss", "eval_replaced_fraction"):
        assert final[name] == pytest.approx(expected[name], rel=1e-5), name


@pytest.fixture(scope="module")
def whole(train_tiny):
    return train_tiny("whole", "--per_device_train_batch_size", "32", *NOISELESS)


def test_accumulation_4_times_8_equals_32(train_tiny, whole):
    divided = train_tiny(
        "divided", "--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "4", *NOISELESS
    )
    assert_equal(divided, whole)
    assert divided.result["flos"] == whole.result["flos"]


def test_two_processes_with_accumulation_equal_one(train_tiny, whole):
    options = ("--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "2")
    divided = train_tiny("processes", *options, *NOISELESS, processes=2)
    assert_equal(divided, whole)
    assert divided.result["flos"] == whole.result["flos"]
    noise = [json.loads((divided.folder / f"noise-{rank}.json").read_text()) for rank in (0, 1)]
    assert noise[0] != noise[1], "every process draws its own dropout and samples"
