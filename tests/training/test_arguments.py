"""The paper's defaults, and options that cannot work here."""

import pytest
import torch
from transformers import HfArgumentParser

from electra_hf.errors import UsageError
from electra_hf.training import PretrainingArguments
from electra_hf.training.training_arguments import ElectraTrainingArguments, cpu_has_bf16


def test_defaults_are_the_papers(tmp_path):
    args = PretrainingArguments(output_dir=str(tmp_path))
    assert (args.optim, args.lr_scheduler_type) == ("adamw_paper", "paper_linear")
    assert (args.learning_rate, args.weight_decay, args.adam_epsilon, args.max_grad_norm) == (5e-4, 0.01, 1e-6, 1.0)
    assert args.data_seed == args.seed
    args.to_json_string()


def test_transformers_choices_stay_available(tmp_path):
    args = PretrainingArguments(output_dir=str(tmp_path), optim="adafactor", lr_scheduler_type="cosine")
    assert (args.optim, args.lr_scheduler_type) == ("adafactor", "cosine")


@pytest.mark.parametrize(("optim", "schedule"), [("muon", "wsd"), ("adamw_paper", "trapezoid")])
def test_choices_of_our_own_are_kept(tmp_path, optim, schedule):
    args = PretrainingArguments(output_dir=str(tmp_path), optim=optim, lr_scheduler_type=schedule)
    assert (args.optim, args.lr_scheduler_type) == (optim, schedule)
    args.to_json_string()


def test_muon_is_for_pretraining(tmp_path):
    with pytest.raises(UsageError, match="--optim muon is for pre-training only"):
        ElectraTrainingArguments(output_dir=str(tmp_path), optim="muon")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fp16": True, "use_cpu": True}, "fp16 needs a GPU"),
        ({"auto_find_batch_size": True}, "--auto_find_batch_size cannot be used"),
        ({"logging_nan_inf_filter": True}, "NaN loss as 0"),
        ({"use_liger_kernel": True}, "Liger"),
        ({"average_tokens_across_devices": False}, "must stay on"),
        ({"decay_fraction": 0.0}, "--decay_fraction 0.0: give a share"),
        ({"decay_shape": "cubic"}, "--decay_shape cubic: choose sqrt, linear, cosine"),
        ({"lr_scheduler_type": "trapezoid", "decay_shape": "sqrt"}, "trapezoid decays linearly"),
        ({"muon_learning_rate": 1e-2}, "no effect on --optim adamw_paper"),
        ({"muon_momentum": 0.95}, "--muon_momentum has no effect on --optim adamw_paper"),
        ({"decay_fraction": 0.2}, "--decay_fraction has no effect on --lr_scheduler_type paper_linear"),
        ({"report_to": ["paper"]}, "--report_to paper"),
        ({"learning_rate": float("nan")}, "--learning_rate nan: give a number of 0 or more"),
        ({"batch_size_warmup_steps": 5}, "--batch_size_warmup_start need each other"),
        ({"dataloader_drop_last": False}, "--dataloader_drop_last must stay on"),
        ({"dataloader_in_order": False}, "--dataloader_in_order must stay on"),
        ({"length_warmup_start": 32}, "--length_warmup_start need each other"),
        ({"length_warmup_steps": -1, "length_warmup_start": 32}, "give a number of steps"),
        ({"batch_size_warmup_steps": 2.5, "batch_size_warmup_start": 4}, "give a number of steps"),
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


@pytest.mark.parametrize(
    ("device", "options", "compiled"),
    [
        ("cuda", {}, True),
        ("cpu", {}, False),
        ("mps", {}, False),
        ("cuda", {"torch_compile": False}, False),
        ("cpu", {"torch_compile": True}, True),
        ("cpu", {"torch_compile_backend": "aot_eager"}, True),
        ("cuda", {"do_train": False}, False),
    ],
)
def test_compilation_is_for_gpus_unless_the_user_says_otherwise(tmp_path, monkeypatch, device, options, compiled):
    monkeypatch.setattr(ElectraTrainingArguments, "device_type", device)
    args = PretrainingArguments(output_dir=str(tmp_path), **options)
    assert args.torch_compile is compiled
    # Compiling by default must not lower the precision of fp32; transformers would.
    assert args.tf32 == (False if device == "cuda" and compiled else None)


def test_batches_are_copied_to_a_gpu_without_waiting_for_it(tmp_path, monkeypatch):
    def non_blocking(**options) -> bool:
        return PretrainingArguments(output_dir=str(tmp_path), **options).accelerator_config.non_blocking  # pyright: ignore

    assert not non_blocking()
    monkeypatch.setattr(ElectraTrainingArguments, "device_type", "cuda")
    assert non_blocking()
    assert not non_blocking(dataloader_pin_memory=False)
    assert not non_blocking(accelerator_config={"even_batches": True})


def test_bare_torch_compile_means_yes(tmp_path):
    parse = HfArgumentParser(PretrainingArguments).parse_args_into_dataclasses
    for words, expected in (([], False), (["--torch_compile"], True), (["--torch_compile", "false"], False)):
        (args,) = parse(["--output_dir", str(tmp_path), "--use_cpu", *words])
        assert args.torch_compile is expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optim": "muon", "muon_learning_rate": -1.0}, "muon_learning_rate is -1.0"),
        ({"decay_shape": "cosine"}, "decay_shape has no effect on --lr_scheduler_type paper_linear"),
        ({"optim": "muon", "muon_learning_rate": float("nan")}, "muon_learning_rate is nan"),
        ({"spike_threshold": float("inf")}, "spike_threshold is inf"),
        ({"batch_size_warmup_steps": float("nan")}, "batch_size_warmup_steps nan: give a number of steps"),
        ({"length_warmup_steps": float("inf"), "length_warmup_start": 8}, "length_warmup_steps inf: give a number"),
        ({"max_steps": 10**400}, "max_steps 10+: give a number"),
        ({"optim": "muon", "muon_momentum": 7.0}, "muon_momentum is 7.0"),
        ({"batch_size_warmup_steps": 10, "batch_size_warmup_start": 0}, "batch_size_warmup_start 0"),
        ({"length_warmup_steps": 10, "length_warmup_start": -4}, "length_warmup_start -4"),
    ],
)
def test_impossible_values_are_refused(tmp_path, options, words):
    with pytest.raises(UsageError, match=words):
        PretrainingArguments(output_dir=str(tmp_path), **options)


@pytest.mark.parametrize(("given", "kept"), [("false", None), ("False", None), ("auto", "auto"), (None, None)])
def test_false_is_no_wish_to_go_on(tmp_path, given, kept):
    args = PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, resume_from_checkpoint=given)
    assert args.resume_from_checkpoint == kept


def test_what_was_left_out_is_decided_where_it_has_an_effect(tmp_path):
    args = PretrainingArguments(output_dir=str(tmp_path), optim="muon", lr_scheduler_type="wsd", use_cpu=True)
    assert (args.muon_momentum, args.decay_fraction) == (0.95, 0.2)
    args = PretrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    assert (args.muon_momentum, args.decay_fraction) == (None, None)


@pytest.mark.parametrize("wish", ["false", "False", ""])
def test_not_to_resume_is_not_to_resume(tmp_path, wish):
    """The folder of another run is refused to a run that begins."""
    args = PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, resume_from_checkpoint=wish)
    assert args.resume_from_checkpoint is None
