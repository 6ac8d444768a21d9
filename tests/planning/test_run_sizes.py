"""Counts of a plan against the model, the Trainer and the order of the batches that they speak of."""

from collections import Counter

import pytest
import torch
from transformers import TrainerCallback

from electra_hf.models import ElectraForReplacedTokenDetection
from electra_hf.planning.memory import kept_bytes, optimizer_bytes, stand_in_batch, step_memory
from electra_hf.planning.sizes import (
    Shape,
    batch_shapes,
    count_checkpoints,
    count_evaluations,
    count_parameters,
    counted_flops,
    run_steps,
)
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import DataArguments, PretrainingArguments, PretrainingTrainer

LENGTH, BLOCKS = 16, 44


class Events(TrainerCallback):
    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def on_evaluate(self, *_, **__) -> None:
        self.count["evaluations"] += 1

    def on_save(self, *_, **__) -> None:
        self.count["checkpoints"] += 1


@pytest.fixture
def make_args(tmp_path):
    def make(**options) -> PretrainingArguments:
        defaults = {"per_device_train_batch_size": 8, "max_steps": 10, "report_to": "none", "disable_tqdm": True}
        return PretrainingArguments(**{"output_dir": str(tmp_path / "run"), "use_cpu": True, **defaults, **options})

    return make


@pytest.fixture
def make_trainer(make_model, make_blocks, tokenizer):
    def make(args: PretrainingArguments) -> PretrainingTrainer:
        return PretrainingTrainer(
            model=make_model(),
            args=args,
            train_dataset=make_blocks(BLOCKS, LENGTH),
            eval_dataset=make_blocks(8, LENGTH),
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer),
            processing_class=tokenizer,
        )

    return make


def test_parameters_are_those_of_the_model(make_model):
    model = make_model(embedding_sharing="all")
    found = count_parameters(model)
    assert found.total == sum(parameter.numel() for parameter in model.parameters())
    embeddings = model.generator.electra.embeddings
    assert found.shared == sum(parameter.numel() for parameter in embeddings.parameters())
    assert found.total == found.main + found.generator - found.shared
    apart = count_parameters(make_model(embedding_sharing="none"))
    assert (apart.shared, apart.total) == (0, apart.main + apart.generator)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size_warmup_steps": 6, "batch_size_warmup_start": 2},
        {"length_warmup_steps": 0.5, "length_warmup_start": 8},
        {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4},
    ],
)
def test_tokens_and_flops_are_those_that_the_trainer_counts(make_args, make_trainer, options):
    args = make_args(save_strategy="no", **options)
    trainer = make_trainer(args)
    trainer.train()
    shapes = batch_shapes(args, LENGTH, args.max_steps)
    accumulation = args.gradient_accumulation_steps
    assert shapes.total() == args.max_steps
    plan = trainer.order.plan
    assert sum(shape.tokens * steps for shape, steps in shapes.items()) == LENGTH * plan.rows_before(args.max_steps)
    assert counted_flops(trainer.model.config, shapes, DataArguments(), accumulation) == trainer.state.total_flos


@pytest.mark.parametrize(
    "options",
    [
        {"do_eval": True, "save_strategy": "no"},
        {"eval_strategy": "steps", "eval_steps": 3, "save_steps": 4},
        {"eval_strategy": "steps", "eval_steps": 0.5, "eval_on_start": True, "save_steps": 5},
        {"eval_strategy": "epoch", "save_strategy": "epoch"},
        {"eval_strategy": "steps", "eval_steps": 2, "eval_delay": 5, "save_steps": 100},
        {"save_steps": 4, "keep_milestones": "30,100", "save_total_limit": 1},
    ],
)
def test_evaluations_and_checkpoints_are_those_of_the_run(make_args, make_trainer, tmp_path, options):
    args = make_args(**options)
    trainer, events = make_trainer(args), Events()
    trainer.add_callback(events)
    trainer.train()
    after = 1 if args.do_eval else 0  # what the script does at its end
    epochs = 10 * 8 / BLOCKS
    assert count_evaluations(args, 10, epochs) == events.count["evaluations"] + after
    written, kept = count_checkpoints(args, 10, epochs)
    assert (written, kept) == (events.count["checkpoints"], len(list((tmp_path / "run").glob("checkpoint-*"))))


def test_steps_of_epochs_need_the_number_of_blocks(make_args):
    args = make_args(max_steps=-1, num_train_epochs=2.5)
    assert run_steps(args, None, 1) is None
    assert run_steps(args, BLOCKS, 1) == 13  # 5 whole steps in an epoch
    assert run_steps(args, BLOCKS, 2) == 5
    assert run_steps(make_args(schedule_minutes=1.0), BLOCKS, 1) is None


def on_meta(model: ElectraForReplacedTokenDetection) -> ElectraForReplacedTokenDetection:
    with torch.device("meta"):
        return ElectraForReplacedTokenDetection(model.config)


@pytest.mark.parametrize("optim", ["adamw_paper", "adamw_torch", "muon"])
def test_memory_of_weights_and_states_is_that_of_torch(make_args, make_trainer, make_model, optim):
    args = make_args(max_steps=1, optim=optim, save_strategy="no")
    trainer = make_trainer(args)
    trainer.train()
    model = trainer.model
    found = step_memory(on_meta(make_model()), args, Shape(8, LENGTH), 0.15)
    assert found.weights == sum(parameter.nbytes for parameter in model.parameters())
    states = [tensor for state in trainer.optimizer.state.values() for tensor in state.values()]
    assert found.optimizer == sum(tensor.nbytes for tensor in states if torch.is_tensor(tensor) and tensor.dim())
    assert found.gradients == found.weights


def test_activations_are_those_that_autograd_keeps(make_args, make_model):
    config, shape = make_model().config, Shape(5, LENGTH)
    for encoder in (config.generator_config, config.discriminator_config):
        encoder._attn_implementation = "eager"  # which keeps the same everywhere
    model = ElectraForReplacedTokenDetection(config).train()
    meta = on_meta(model).train()
    model.implementation = meta.implementation = "plain"
    on_cpu = kept_bytes(model, stand_in_batch(model, shape, 0.15))
    assert kept_bytes(meta, stand_in_batch(meta, shape, 0.15)) == on_cpu
    assert step_memory(meta, make_args(), shape, 0.15).activations == pytest.approx(on_cpu, rel=0.02)


def test_an_optimiser_that_is_not_known_is_not_guessed(make_args, make_model):
    assert optimizer_bytes(make_model(), make_args(optim="adafactor")) is None
