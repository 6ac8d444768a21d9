"""Command line over YAML over defaults, with errors that name what is wrong."""

from dataclasses import dataclass, field

import pytest
import yaml

from electra_hf.errors import UsageError
from electra_hf.parser import ConfigArgumentParser
from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments

TYPES = (ModelArguments, DataArguments, PretrainingArguments)


@pytest.fixture
def parse(tmp_path):
    def parse(text: str | None = None, *argv: str):
        arguments = ["--output_dir", str(tmp_path / "run"), *argv]
        if text is not None:
            path = tmp_path / "config.yaml"
            path.write_text(text, encoding="utf-8")
            arguments += ["--config", str(path)]
        return ConfigArgumentParser(TYPES).parse(arguments)

    return parse


def test_command_line_wins_over_yaml_over_defaults(parse):
    model, data, args = parse("learning_rate: 2e-4\nwarmup_steps: 7\nmax_seq_length: 64", "--max_seq_length", "32")
    assert args.learning_rate == 2e-4, "PyYAML reads 2e-4 as a string"
    assert args.warmup_steps == 7
    assert data.max_seq_length == 32
    assert args.adam_epsilon == 1e-6
    assert model.generator_width is None


def test_yaml_values_of_every_kind(parse):
    text = """
train_file: [a.txt, b.txt]
corpus: python-docs
corpus_weights: [1, 0.5]
config_overrides: {hidden_size: 64, hidden_act: relu}
streaming: true
do_train: false
eval_strategy: "no"
lr_scheduler_type: cosine_with_min_lr
lr_scheduler_kwargs: {min_lr: 1.0e-5}
max_train_samples: null
"""
    model, data, args = parse(text)
    assert data.train_file == ["a.txt", "b.txt"]
    assert data.corpus == ["python-docs"]
    assert data.corpus_weights == [1.0, 0.5]
    assert model.config_overrides == "hidden_size=64,hidden_act=relu"
    assert data.streaming is True and args.do_train is False
    assert args.lr_scheduler_kwargs == {"min_lr": 1e-5}
    assert data.max_train_samples is None


@pytest.mark.parametrize(
    ("text", "argv", "message"),
    [
        ("learing_rate: 1", (), r"config.yaml: unknown key 'learing_rate' \(did you mean 'learning_rate'\?\)"),
        (None, ("--max_seq_lenght", "12"), r"unknown option '--max_seq_lenght' \(did you mean 'max_seq_length'\?\)"),
        ("learning_rate: fast", (), r"config.yaml: learning_rate: cannot use 'fast'"),
        ("packing: half", (), r"config.yaml: packing: cannot use 'half'"),
        ("seed: [1, 2]", (), "seed: cannot use .*one value is expected"),
        ("seed: 1\nseed: 2", (), "'seed' is given twice"),
        ("just words", (), "holds a str; options are expected"),
        ("a: [1", (), "is not valid YAML"),
        (None, ("--learning_rate", "fast"), "--learning_rate"),
        (None, ("--packing", "half"), "invalid choice: 'half'"),
        (None, ("--config",), "--config needs a file"),
        (None, ("--config", "nowhere.yaml"), "cannot read the configuration nowhere.yaml"),
        (None, ("--lr_scheduler_type", "zigzag"), "zigzag"),
        (None, ("--optim", "adamm"), "adamm"),
    ],
)
def test_mistakes_are_named(parse, text, argv, message):
    with pytest.raises(UsageError, match=message):
        parse(text, *argv)


def test_written_settings_repeat_the_run_without_secrets(tmp_path):
    argv = ["--output_dir", "run", "--learning_rate", "1e-3", "--corpus", "python-docs", "--hub_token", "hf_secret"]
    parser = ConfigArgumentParser(TYPES)
    first = parser.parse([*argv, "--config_overrides", "hidden_size=64", "--eval_strategy", "steps"])
    path = tmp_path / "pretraining_config.yaml"
    parser.write_settings(path)
    assert "secret" not in path.read_text()
    assert set(yaml.safe_load(path.read_text())) == {
        "config_overrides", "corpus", "eval_strategy", "learning_rate", "output_dir"
    }  # fmt: skip
    second = ConfigArgumentParser(TYPES).parse(["--config", str(path)])
    for one, other in zip(first, second, strict=True):
        if isinstance(one, PretrainingArguments):
            one, other = one.to_dict(), other.to_dict()
            one.pop("hub_token"), other.pop("hub_token")
        assert one == other


def test_help_prints(capsys):
    with pytest.raises(SystemExit) as exit_info:
        ConfigArgumentParser(TYPES).parse(["--help"])
    assert exit_info.value.code == 0
    assert "--generator_width" in capsys.readouterr().out


@dataclass
class Needy:
    output_dir: str = field(metadata={"help": "Where to."})


def test_a_required_option_can_stand_in_the_file_or_on_the_command_line(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("output_dir: there\n")
    assert ConfigArgumentParser((Needy,)).parse(["--output_dir", "here"])[0].output_dir == "here"
    assert ConfigArgumentParser((Needy,)).parse(["--config", str(config)])[0].output_dir == "there"
    with pytest.raises(UsageError, match="required: --output_dir"):
        ConfigArgumentParser((Needy,)).parse([])


def test_the_command_line_is_kept_for_the_records_without_secrets(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/run_pretraining.py"])
    parser = ConfigArgumentParser(TYPES)
    parser.parse(["--hub_token", "hf_secret", "--train_file", "a b.txt", "--output_dir", "out"])
    assert parser.command == "python run_pretraining.py --train_file 'a b.txt' --output_dir out"
    parser.parse(["--hub-token=hf_secret", "--output_dir", "out"])
    assert parser.command == "python run_pretraining.py --output_dir out"


def test_debug_takes_a_value_of_the_trainer_or_none(parse):
    assert parse(None, "--debug")[2].debug == []
    assert parse(None, "--debug", "--seed", "3")[2].seed == 3
    assert [option.value for option in parse(None, "--debug", "underflow_overflow")[2].debug] == ["underflow_overflow"]
