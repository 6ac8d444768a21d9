"""Options that an objective has no use for are refused before any text is read."""

import pytest

from electra_hf.errors import UsageError
from electra_hf.training import DataArguments, ModelArguments
from electra_hf.training.model_setup import build_model
from electra_hf.training.objective_checks import check_objective, mask_shares
from electra_hf.training.objectives import OBJECTIVES


@pytest.mark.parametrize(
    "options",
    [
        {"generator_width": 0.5},
        {"generator_depth": 0.5},
        {"generator_config_overrides": "hidden_size=8"},
        {"generator_name_or_path": "somewhere"},
    ],
)
def test_options_of_a_generator_that_is_not_there(options):
    check_objective(ModelArguments(**options), DataArguments())
    with pytest.raises(UsageError, match=f"--{next(iter(options))} has no effect with --objective mlm"):
        check_objective(ModelArguments(objective="mlm", **options), DataArguments())


@pytest.mark.parametrize("option", ["mask_replace_prob", "random_replace_prob"])
def test_masks_that_nobody_reads(option):
    with pytest.raises(UsageError, match=f"--{option} has no effect with --objective electric"):
        check_objective(ModelArguments(objective="electric"), DataArguments(**{option: 0.1}))


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        ({}, (0.8, 0.1)),
        ({"mask_replace_prob": 1.0}, (1.0, 0.0)),
        ({"mask_replace_prob": 0.95}, (0.95, 0.05)),
        ({"random_replace_prob": 0.5}, (0.5, 0.5)),
        ({"mask_replace_prob": 0.5, "random_replace_prob": 0.2}, (0.5, 0.2)),
    ],
)
def test_one_share_leaves_room_for_the_other(options, shares):
    assert mask_shares(OBJECTIVES["mlm"], DataArguments(**options)) == pytest.approx(shares)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"temperature_schedule": "exponential"}, "--temperature_schedule exponential falls towards 1"),
        ({"generator_width": 0.5}, "--generator_width describes a fresh generator"),
        ({"generator_depth": 0.5}, "--generator_depth describes a fresh generator"),
        (
            {"freeze_generator": True, "embedding_sharing": "none", "generator_weight": 3.0},
            "--generator_weight has no effect on a frozen generator",
        ),
    ],
)
def test_options_without_effect_on_a_loaded_generator(options, said, make_model, tokenizer, tmp_path):
    make_model(embedding_sharing="none").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=said):
        build_model(
            ModelArguments(model_name_or_path=str(tmp_path), **options), DataArguments(max_seq_length=24), tokenizer
        )
