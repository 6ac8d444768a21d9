"""Search spaces: what a file may say, and which values follow from it."""

from pathlib import Path

import pytest
import yaml

from electra_hf.errors import UsageError
from electra_hf.training.search.space import FINETUNING_SPACES, Parameter, combinations, read_space

OPTIONS = ("learning_rate", "num_train_epochs", "per_device_train_batch_size", "layerwise_lr_decay", "warmup_steps")
CONFIGS = Path(__file__).parents[3] / "configs" / "finetuning"


def test_every_form_in_a_file(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "learning_rate: {low: 1e-5, high: 5.0e-4, log: true}\n"
        "per_device_train_batch_size: {choices: [16, 32]}\n"
        "num_train_epochs: {low: 2, high: 5, step: 2}\n"
        "layerwise_lr_decay: {choices: [9e-1, null]}\n"
    )
    assert read_space(path, OPTIONS) == (
        Parameter("learning_rate", low=1e-5, high=5e-4, log=True),
        Parameter("per_device_train_batch_size", choices=(16, 32)),
        Parameter("num_train_epochs", low=2, high=4, step=2),
        Parameter("layerwise_lr_decay", choices=(0.9, None)),
    )


def test_a_map_in_a_config_file_arrives_as_json():
    (parameter,) = read_space('{"num_train_epochs": {"low": 2, "high": 3}}', OPTIONS)
    assert parameter.values() == (2, 3) and parameter.is_integer


def test_what_describes_a_parameter_reads_it_back():
    space = read_space(
        {"learning_rate": {"low": 0.1, "high": 0.5, "step": 0.2}, "warmup_steps": {"choices": [0]}}, OPTIONS
    )
    assert read_space({parameter.name: parameter.describe() for parameter in space}, OPTIONS) == space
    assert space[0].values() == pytest.approx((0.1, 0.3, 0.5))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("lerning_rate: {choices: [1]}", ["unknown option 'lerning_rate'", "did you mean 'learning_rate'"]),
        ("seed: {choices: [1, 2]}", ["seed cannot be searched", "luck"]),
        ("learning_rate: 1.0e-4", ["learning_rate is 0.0001", "{choices: [...]}"]),
        ("learning_rate: {low: 1.0e-5}", ["no high"]),
        ("learning_rate: {low: 2, high: 1}", ["low 2 is not below high 1"]),
        ("learning_rate: {low: 0, high: 1, log: true}", ["log needs a low above 0"]),
        ("learning_rate: {low: small, high: 1}", ["low is 'small'", "no number"]),
        ("learning_rate: {low: .nan, high: 1}", ["low is nan", "no number"]),
        ("learning_rate: {low: 1, high: 2, step: 3}", ["a step of 3"]),
        ("learning_rate: {low: 1, high: 2, steps: 3}", ["no 'steps'", "step"]),
        ("learning_rate: {low: 1, high: 2, log: 'yes'}", ["log is 'yes'"]),
        ("learning_rate: {choices: []}", ["give a list"]),
        ("learning_rate: {choices: [1, 1]}", ["listed twice"]),
        ("learning_rate: {choices: [[1]]}", ["[1] is no choice"]),
        ("learning_rate: {choices: [1], low: 1}", ["choices and low"]),
        ("learning_rate: {choices: [1]}\nlearning_rate: {choices: [2]}", ["given twice"]),
        ("{}", ["names no option"]),
    ],
)
def test_errors_name_the_file_and_the_line(text, named, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_space(path, OPTIONS)
    missing = [part for part in (str(path), *named) if part not in str(caught.value)]
    assert not missing, str(caught.value)


def test_missing_file_and_broken_json(tmp_path):
    with pytest.raises(UsageError, match=r"no\.yaml"):
        read_space(tmp_path / "no.yaml", OPTIONS)
    with pytest.raises(UsageError, match="no JSON map"):
        read_space("{learning_rate", OPTIONS)


def test_options_of_the_caller_that_cannot_be_searched():
    with pytest.raises(UsageError, match="warmup_steps cannot be searched: it is decided elsewhere"):
        read_space({"warmup_steps": {"choices": [1]}}, OPTIONS, {"warmup_steps": "it is decided elsewhere"})


def test_combinations():
    space = read_space({"learning_rate": {"choices": [1, 2]}, "num_train_epochs": {"low": 2, "high": 4}}, OPTIONS)
    found = combinations(space, 6)
    assert found is not None and len(found) == 6
    assert found[1] == {"learning_rate": 1, "num_train_epochs": 3}
    assert combinations(space, 5) is None
    assert combinations(read_space({"learning_rate": {"low": 0.1, "high": 1}}, OPTIONS), 1000) is None


@pytest.mark.parametrize(
    ("value", "held"), [(2, True), (3, True), (6, False), (2.5, False), ("2", False), (True, False), (None, False)]
)
def test_whether_a_value_is_inside(value, held):
    assert Parameter("num_train_epochs", low=2, high=5).holds(value) == held


@pytest.mark.parametrize("size", FINETUNING_SPACES)
def test_shipped_files_are_the_default_spaces(size):
    path = CONFIGS / f"search-{size}.yaml"
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == FINETUNING_SPACES[size]
    assert read_space(path, OPTIONS) == read_space(FINETUNING_SPACES[size], OPTIONS)
