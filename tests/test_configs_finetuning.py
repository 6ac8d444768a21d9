"""Every recipe parses, states the paper's values, and is what the options decide by themselves."""

from pathlib import Path

import pytest
import yaml
from transformers import ElectraConfig

from electra_hf.finetuning.arguments import EncoderArguments, FinetuneModelArguments, FinetuningArguments
from electra_hf.finetuning.recipe import resolve_recipe
from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.data import TaggingTask
from electra_hf.finetuning.tagging.training_arguments import TaggingTrainingArguments
from electra_hf.parser import ConfigArgumentParser

CONFIGS = Path(__file__).parents[1] / "configs" / "finetuning"
# learning rate and layer-wise decay (paper, table 7), and the hidden size that the recipe is for
PAPER = {"electra-small": (3e-4, 0.8, 256), "electra-base": (1e-4, 0.8, 768), "electra-large": (5e-5, 0.9, 1024)}
RECIPES = sorted(CONFIGS.glob("electra-*.yaml"))
TAGGING = CONFIGS / "ner-electra-small.yaml"


def parse(path: Path, tmp_path: Path) -> tuple[FinetuneModelArguments, FinetuningArguments]:
    parser = ConfigArgumentParser((FinetuneModelArguments, FinetuningArguments))
    argv = ["--config", str(path), "--output_dir", str(tmp_path), "--model_name_or_path", "encoder"]
    return parser.parse(argv)


def test_all_recipes_are_known():
    assert {path.stem for path in RECIPES} == set(PAPER)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_states_the_paper(path, tmp_path):
    model_args, args = parse(path, tmp_path)
    rate, decay, _ = PAPER[path.stem]
    assert (args.learning_rate, args.layerwise_lr_decay, args.layerwise_lr_decay_mode) == (rate, decay, "paper")
    assert (args.warmup_steps, args.weight_decay, args.adam_epsilon, args.max_grad_norm) == (0.1, 0.0, 1e-6, 1.0)
    assert (args.optim, args.lr_scheduler_type, args.loss_reduction) == ("adamw_paper", "paper_linear", "sum")
    assert args.per_device_train_batch_size * args.gradient_accumulation_steps == 32
    assert model_args.classification_head == "reference"
    assert args.num_train_epochs is None
    assert args.double_unordered is None


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_the_default_of_its_size(path, tmp_path):
    """So a run without a file is the paper's too, and says so."""
    _, args = parse(path, tmp_path)
    config = ElectraConfig(hidden_size=PAPER[path.stem][2])
    resolved, _ = resolve_recipe(FinetuningArguments(output_dir=str(tmp_path)), config, task_epochs=3)
    for name in yaml.safe_load(path.read_text(encoding="utf-8")):
        if name != "classification_head":
            assert getattr(args, name) == getattr(resolved, name), name


def test_the_recipe_of_tagging_is_the_default(tmp_path):
    parser = ConfigArgumentParser((EncoderArguments, TaggingArguments, TaggingTrainingArguments))
    argv = ["--config", str(TAGGING), "--output_dir", str(tmp_path), "--model_name_or_path", "encoder"]
    _, tagging_args, args = parser.parse(argv)
    config, epochs = ElectraConfig(hidden_size=256), TaggingTask("ner").epochs
    resolved, _ = resolve_recipe(TaggingTrainingArguments(output_dir=str(tmp_path)), config, epochs)
    for name in yaml.safe_load(TAGGING.read_text(encoding="utf-8")):
        given, default = (tagging_args, TaggingArguments()) if hasattr(tagging_args, name) else (args, resolved)
        assert getattr(given, name) == getattr(default, name), name


@pytest.mark.parametrize("path", [*RECIPES, TAGGING], ids=lambda path: path.stem)
def test_every_line_is_explained(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        assert not line or "#" in line, line
