"""What the card of a pre-trained model says: facts gathered from the run and its options."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from electra_hf import __version__
from electra_hf.corpora.named import find_named_corpus
from electra_hf.models import PretrainingModel
from electra_hf.models.checkpoint import GENERATOR_FOLDER
from electra_hf.sharing.model_card import CorpusFacts, ModelCardFacts
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.training import DataArguments, PretrainingArguments, PretrainingTrainer
from electra_hf.training.setup import corpus_names

_KINDS = {"WordPiece": "WordPiece", "Unigram": "Unigram (SentencePiece)", "BPE": "byte-pair encoding"}


def describe_run(
    trainer: PretrainingTrainer,
    data_args: DataArguments,
    metrics: Mapping[str, float],
    command: str,
) -> ModelCardFacts:
    """The facts of a run, finished or at a checkpoint.

    Args:
        trainer: Has trained.
        data_args: What it was trained on.
        metrics: Of the evaluation of this state; {} if there was none.
        command: The command line.
    """
    model: PretrainingModel = trainer.accelerator.unwrap_model(trainer.model)
    encoder, args, state = model.config.main_config, trainer.args, trainer.state
    facts = ModelCardFacts(
        name=args.hub_model_id or str(args.output_dir),
        objective=trainer.objective.name,
        about=trainer.objective.about,
        tags=list(trainer.objective.tags),
        vocab_size=model.config.vocab_size,
        max_length=encoder.max_position_embeddings,
        encoder=describe_encoder(encoder),
        encoder_parameters=count_parameters(model.main),
        command=command,
        recipe=_recipe(trainer, data_args),
        versions=software_versions(),
        steps=state.global_step,
        max_steps=state.max_steps,
        hardware=describe_hardware(args.world_size, on_gpu=args.device.type == "cuda"),
        results={key: value for key, value in metrics.items() if isinstance(value, int | float)},
    )
    facts.update(_text(data_args, trainer.train_dataset))
    if args.hub_language:
        facts["language"] = list(args.hub_language)
    if args.hub_license:
        facts["license"] = args.hub_license
    if isinstance(trainer.processing_class, PreTrainedTokenizerBase):
        facts["tokenizer"] = describe_tokenizer(trainer.processing_class)
    if state.global_step:
        facts["flops"] = float(state.total_flos)
        facts["hours"] = trainer.clock.seconds / 3600
        if trainer.token_count.tokens:
            facts["tokens_seen"] = int(trainer.token_count.tokens)
        if state.epoch and isinstance(trainer.train_dataset, BlockDataset):
            facts["epochs"] = float(state.epoch)
    if trainer.energy is not None and trainer.energy.kwh:
        facts["energy_kwh"] = trainer.energy.kwh
        if trainer.energy.co2_kg is not None:
            facts["co2_kg"] = trainer.energy.co2_kg
    if model.has_generator:
        # A generator of several parts is no masked language model.
        key = "generator" if GENERATOR_FOLDER in model.saved_parts else "towers"
        facts[key] = describe_encoder(model.config.generator_config)
        facts["generator_parameters"] = count_parameters(model.generator)
    return facts


def _text(data_args: DataArguments, blocks: object) -> ModelCardFacts:
    """Names, licences, languages and sizes of the corpora."""
    named = {item.partition("=")[0] for item in data_args.named_corpora()}
    corpora: list[CorpusFacts] = []
    languages: list[str | None] = []
    for name in corpus_names(data_args):
        if name in named:
            known = find_named_corpus(name)
            corpora.append(CorpusFacts(name=name, license=known.license))
            if known.dataset is not None:
                corpora[-1]["dataset"] = known.dataset
            languages.append(known.language)
        elif name in data_args.dataset_name:
            corpora.append(CorpusFacts(name=name, dataset=name))
            languages.append(None)
        else:
            corpora.append(CorpusFacts(name=name))
            languages.append(None)
    facts = ModelCardFacts(corpora=corpora)
    if languages and all(languages):
        facts["language"] = sorted({str(language) for language in languages})
    if isinstance(blocks, BlockDataset):
        counts = blocks.manifest["counts"]
        facts["documents"], facts["corpus_tokens"] = counts["documents"], counts["tokens"]
    return facts


def _recipe(trainer: PretrainingTrainer, data_args: DataArguments) -> dict[str, str]:
    args: PretrainingArguments = trainer.args
    rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    schedule = args.lr_scheduler_type
    warmup = args.get_warmup_steps(trainer.state.max_steps) if trainer.state.max_steps else 0
    options = {
        "objective": trainer.objective.name,
        "rows a step": f"{rows:,} of {data_args.max_seq_length} tokens",
        "masked": f"{data_args.mlm_probability:.0%} of the tokens ({data_args.masking})",
        "optimiser": f"{getattr(args.optim, 'value', args.optim)}, weight decay {args.weight_decay:g}",
        "learning rate": f"{args.learning_rate:g}, {getattr(schedule, 'value', schedule)}",
        "warm-up": f"{warmup:,} step{'' if warmup == 1 else 's'}" if warmup else "",
        "gradient clipping": f"{args.max_grad_norm:g}",
        "precision": "bf16" if args.bf16 else "fp16" if args.fp16 else "fp32",
        "seed": str(args.seed),
    }
    return {name: value for name, value in options.items() if value}


def count_parameters(part: Any) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def describe_encoder(config: Any) -> str:
    """Sizes in words."""
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    return (
        f"{config.model_type}, {layers} layer{'s' if layers > 1 else ''}, hidden size {config.hidden_size}, "
        f"{heads} head{'s' if heads > 1 else ''}"
    )


def describe_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Its kind, and whether it keeps capitals."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    kind = type(backend.model).__name__ if backend is not None else type(tokenizer).__name__
    lowers = tokenizer.tokenize("A") == tokenizer.tokenize("a")
    return f"{_KINDS.get(kind, kind)}, {'lower-case' if lowers else 'with capitals'}"


def describe_hardware(processes: int, *, on_gpu: bool) -> str:
    """The GPUs of all processes, or this machine's processor."""
    from electra_hf.study.results import describe_machine  # which reads scores, too

    machine = describe_machine()
    if on_gpu:
        return f"{processes} x {machine['gpus'][0]}"
    several = f", {processes} processes" if processes > 1 else ""
    return f"{machine['processor']}, {machine['cores']} cores{several}, no GPU"


def software_versions() -> dict[str, str]:
    """Of what decides the outcome of a training."""
    others = {name: version(name) for name in ("torch", "transformers", "accelerate", "tokenizers")}
    return {"electra_hf": __version__, **others, "Python": platform.python_version()}


def checkpoint_metrics(trainer: PretrainingTrainer, checkpoint: Path) -> dict[str, float]:
    """The evaluation at the step of a checkpoint, if there was one."""
    step = int(checkpoint.name.rpartition("-")[2])
    rows = [row for row in trainer.state.log_history if row.get("step") == step]
    return {key: value for row in rows for key, value in row.items() if key.startswith("eval_")}
