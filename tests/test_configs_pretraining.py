"""Every recipe parses, builds the model it promises, and states the paper's values."""

from pathlib import Path

import pytest
import torch
import yaml

from electra_hf.parser import ConfigArgumentParser
from electra_hf.tokens.masking import slots
from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments
from electra_hf.training.model_setup import build_model, chosen_objective
from electra_hf.training.objective_checks import check_objective

CONFIGS = Path(__file__).parents[1] / "configs" / "pretraining"
# parameters of the discriminator (M), generator hidden size and heads, slots, learning rate, tokens a step
PAPER = {
    "electra-small": (13.5, 64, 1, 19, 5e-4, 128 * 128),
    "electra-small-plus-plus": (13.5, 64, 1, 77, 5e-4, 128 * 512),
    "electra-small-ko": (13.5, 64, 1, 77, 5e-4, 64 * 512),
    "electra-small-ja": (13.5, 64, 1, 77, 5e-4, 64 * 512),
    "electra-base": (109, 256, 4, 77, 2e-4, 256 * 512),
    "electra-large": (334, 256, 4, 128, 2e-4, 2048 * 512),
    "convbert-small-ko": (13.2, 64, 1, 19, 3e-4, 128 * 128),
    "deberta-v3-small": (66.5, 768, 12, 77, 3e-4, 256 * 512),
    "bert-small-mlm": (13.6, None, None, 19, 5e-4, 128 * 128),
}
OTHERS = {"demo", "bert-mlm-nsp-ko"}
# Not the paper's, but with all of its lines.
OWN = ("electra-small-modern", "electra-small-gumbel-softmax", "electra-base-imdb-continued")


class Vocabulary:
    """Stands for a tokenizer of BERT's size, which the model only asks for its length and its special tokens."""

    pad_token_id, cls_token_id, sep_token_id = 0, 101, 102

    def __init__(self, size: int):
        self.size = size

    def __len__(self) -> int:
        return self.size


def parse(path: Path, tmp_path: Path) -> tuple:
    parser = ConfigArgumentParser((ModelArguments, DataArguments, PretrainingArguments))
    return parser.parse(["--config", str(path), "--output_dir", str(tmp_path), "--bf16", "false"])


def test_all_recipes_are_known():
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {*PAPER, *OTHERS, *OWN}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipe_builds_its_model(path, tmp_path):
    model_args, data_args, args = parse(path, tmp_path)
    with torch.device("meta"):
        model = build_model(model_args, data_args, Vocabulary(30522))
    assert isinstance(model, chosen_objective(model_args).model)
    assert args.optim == ("muon" if path.stem == "electra-small-modern" else "adamw_paper")
    assert args.max_steps > 0
    if path.stem not in PAPER:
        return
    millions, hidden, heads, k, learning_rate, tokens = PAPER[path.stem]
    assert sum(weight.numel() for weight in model.main.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)
    if model.has_generator:
        generator, discriminator = model.config.encoders
        assert (generator.hidden_size, generator.num_attention_heads) == (hidden, heads)
        share = 0.5 if path.stem == "deberta-v3-small" else 1
        assert generator.num_hidden_layers == share * discriminator.num_hidden_layers
    assert slots(data_args.max_seq_length, data_args.mlm_probability) == k
    assert (args.learning_rate, args.warmup_steps, args.lr_scheduler_type) == (learning_rate, 10_000, "paper_linear")
    devices = 8 if path.stem in ("electra-base", "electra-large", "deberta-v3-small") else 1
    rows = args.per_device_train_batch_size * args.gradient_accumulation_steps * devices
    assert rows * data_args.max_seq_length == tokens


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("electra-*.yaml")), ids=lambda path: path.stem)
def test_every_line_of_a_paper_recipe_is_an_option(path):
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert settings["bf16"] is True
    assert settings["mask_replace_prob"] == 0.85


def test_bert_recipe_has_the_sizes_of_bert_base_and_pairs_for_its_objective(tmp_path):
    model_args, data_args, args = parse(CONFIGS / "bert-mlm-nsp-ko.yaml", tmp_path)
    check_objective(model_args, data_args)
    with torch.device("meta"):
        model = build_model(model_args, data_args, Vocabulary(30522))
    assert model.main.num_parameters() / 1e6 == pytest.approx(110, rel=0.02)
    assert (data_args.mask_replace_prob, data_args.random_replace_prob) == (0.8, 0.1)
    assert args.per_device_train_batch_size * args.gradient_accumulation_steps == 256


@pytest.mark.parametrize("name", ["electra-small-modern", "electra-small-gumbel-softmax"])
def test_recipe_is_the_papers_but_for_its_marked_lines(name):
    paper, modern = (
        yaml.safe_load((CONFIGS / f"{path}.yaml").read_text(encoding="utf-8")) for path in ("electra-small", name)
    )
    flat = [settings | settings.pop("config_overrides") for settings in (paper, modern)]
    differing = {name for name in flat[1] if flat[0].get(name) != flat[1][name]}
    text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
    marked = {line.split(":")[0].strip() for line in text.splitlines() if "# *" in line}
    assert differing - {"output_dir", "eval_steps", "save_steps"} == marked
