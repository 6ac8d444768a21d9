"""The paper's defaults, and options that cannot work here."""

import pytest
import torch

from electra_hf.errors import UsageError
from electra_hf.training import PretrainingArguments
from electra_hf.training.arguments import cpu_has_bf16


def test_defaults_are_the_papers(tmp_path):
    args = PretrainingArguments(output_dir=str(tmp_path))
    assert (args.optim, args.lr_scheduler_type) == ("adamw_paper", "paper_linear")
    assert (args.learning_rate, args.weight_decay, args.adam_epsilon, args.max_grad_norm) == (5e-4, 0.01, 1e-6, 1.0)
    assert args.data_seed == args.seed
    args.to_json_string()


def test_transformers_choices_stay_available(tmp_path):
    args = PretrainingArguments(output_dir=str(tmp_path), optim="adafactor", lr_scheduler_type="cosine")
    assert (args.optim, args.lr_scheduler_type) == ("adafactor", "cosine")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fp16": True, "use_cpu": True}, "fp16 needs a GPU"),
        ({"auto_find_batch_size": True}, "--auto_find_batch_size cannot be used"),
        ({"logging_nan_inf_filter": True}, "NaN loss as 0"),
        ({"use_liger_kernel": True}, "Liger"),
        ({"average_tokens_across_devices": False}, "must stay on"),
    ],
)
def test_refused_options_say_why(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        PretrainingArguments(output_dir=str(tmp_path), **options)


def test_bf16_is_refused_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "amx_bf16": False})
    with pytest.raises(UsageError, match="no bf16 instructions"):
        PretrainingArguments(output_dir=str(tmp_path), bf16=True, use_cpu=True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert cpu_has_bf16()
    assert PretrainingArguments(output_dir=str(tmp_path), bf16=True, use_cpu=True).bf16


def test_several_gpus_in_one_process_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(PretrainingArguments, "n_gpu", property(lambda self: 4))
    with pytest.raises(UsageError, match="accelerate launch --num_processes 4 run_pretraining.py"):
        PretrainingArguments(output_dir=str(tmp_path))
