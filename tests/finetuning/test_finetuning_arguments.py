"""Options of fine-tuning, from YAML and the command line."""

import dataclasses

import pytest

from electra_hf.errors import UsageError
from electra_hf.finetuning.arguments import FinetuneModelArguments, FinetuningArguments
from electra_hf.parser import ConfigArgumentParser


def parse(*argv: str) -> tuple[FinetuneModelArguments, FinetuningArguments]:
    return ConfigArgumentParser((FinetuneModelArguments, FinetuningArguments)).parse(argv)


def test_defaults_are_the_papers(tmp_path):
    model_args, args = parse("--model_name_or_path", "encoder", "--output_dir", str(tmp_path))
    assert model_args == FinetuneModelArguments("encoder")
    assert (args.learning_rate, args.layerwise_lr_decay, args.num_train_epochs, args.double_unordered) == (None,) * 4
    assert (args.optim, args.lr_scheduler_type, args.adam_epsilon) == ("adamw_paper", "paper_linear", 1e-6)
    assert (args.weight_decay, args.warmup_steps, args.max_grad_norm, args.per_device_train_batch_size) == (
        0.0, 0.1, 1.0, 32
    )  # fmt: skip
    assert (args.layerwise_lr_decay_mode, args.loss_reduction) == ("paper", "sum")
    assert (args.do_train, args.do_eval, args.do_predict, args.save_strategy) == (True, True, False, "no")
    args.to_json_string()


def test_file_and_command_line(tmp_path):
    config = tmp_path / "recipe.yaml"
    config.write_text(
        "model_name_or_path: folder\nlayerwise_lr_decay: 0.9\nnum_train_epochs: 3\nlearning_rate: 3e-4\n"
        "double_unordered: false\nclassification_head: transformers\nmetric: [f1, my/metric]\n"
    )
    model_args, args = parse(
        "--config", str(config), "--layerwise_lr_decay", "0.8", "--output_dir", str(tmp_path), "--num_seeds", "3",
        "--do_predict", "--no_do_train",
    )  # fmt: skip
    assert (model_args.model_name_or_path, model_args.classification_head) == ("folder", "transformers")
    assert (args.layerwise_lr_decay, args.num_train_epochs, args.learning_rate) == (0.8, 3.0, 3e-4)
    assert args.double_unordered is False
    assert args.metric == ["f1", "my/metric"]
    assert args.seeds == [42, 43, 44]
    assert (args.do_train, args.do_predict) == (False, True)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--layerwise_lr_decay", "1.2"), "--layerwise_lr_decay is 1.2"),
        (("--layerwise_lr_decay", "0"), "above 0"),
        (("--learning_rate", "0"), "--learning_rate is 0.0"),
        (("--num_train_epochs", "0"), "--num_train_epochs is 0.0"),
        (("--num_seeds", "0"), "--num_seeds is 0"),
        (("--loss_reduction", "max"), "loss_reduction"),
        (("--layerwise_lr_decay_mode", "google"), "layerwise_lr_decay_mode"),
        (("--classification_head", "linear"), "classification_head"),
        (("--layerwise_decay", "0.8"), "did you mean 'layerwise_lr_decay'"),
        (("--logging_nan_inf_filter",), "NaN loss as 0"),
    ],
)
def test_bad_values_are_named(tmp_path, argv, message):
    with pytest.raises(UsageError, match=message):
        parse("--model_name_or_path", "encoder", "--output_dir", str(tmp_path), *argv)


def test_a_model_is_needed(tmp_path):
    with pytest.raises(UsageError, match="--model_name_or_path"):
        parse("--output_dir", str(tmp_path))


def test_choices_are_checked_without_the_parser_too(tmp_path):
    with pytest.raises(UsageError, match="choose sum or mean"):
        FinetuningArguments(output_dir=str(tmp_path), loss_reduction="max")


def test_the_groups_share_no_name():
    names = [{item.name for item in dataclasses.fields(cls)} for cls in (FinetuneModelArguments, FinetuningArguments)]
    assert not names[0] & names[1]


def test_help_can_be_shown(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    assert "--layerwise_lr_decay" in capsys.readouterr().out


def test_copies_for_seeds(tmp_path):
    args = FinetuningArguments(output_dir=str(tmp_path), num_seeds=2)
    assert args.data_seed == 42
    second = args.for_seed(43, tmp_path / "seed-43")
    assert (second.seed, second.data_seed, second.output_dir) == (43, 43, str(tmp_path / "seed-43"))
    assert (args.seed, args.data_seed, args.output_dir) == (42, 42, str(tmp_path))
    fixed = FinetuningArguments(output_dir=str(tmp_path), data_seed=7).for_seed(43)
    assert (fixed.seed, fixed.data_seed) == (43, 7)
    with pytest.raises(ValueError, match="no such fields: learning_rates"):
        args.changed(learning_rates=1e-4)


def test_several_gpus_in_one_process_are_refused_with_this_script(tmp_path, monkeypatch):
    monkeypatch.setattr(FinetuningArguments, "n_gpu", property(lambda self: 2))
    with pytest.raises(UsageError, match="accelerate launch --num_processes 2 run_glue.py"):
        FinetuningArguments(output_dir=str(tmp_path))
