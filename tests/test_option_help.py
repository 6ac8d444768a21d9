"""`--help`: every option once, under what it is for, and ours before those that hardly anyone needs."""

import pytest

from electra_hf.cli import plan, prepare, tokenizer
from electra_hf.option_help import GROUPS, INHERITED, OTHERS, format_options, grouped
from electra_hf.parser import ConfigArgumentParser
from electra_hf.study.scripts import ARGUMENTS
from electra_hf.training.search import SearchArguments

PARSERS = {
    **{name: lambda types=types: ConfigArgumentParser((*types, SearchArguments)) for name, types in ARGUMENTS.items()},
    "prepare": prepare.option_parser,
    "plan": plan.option_parser,
    **{
        f"tokenizer {name}": lambda name=name: tokenizer.option_parser(name) for name in ("train", "import", "inspect")
    },
}


@pytest.fixture(params=PARSERS)
def parser(request) -> ConfigArgumentParser:
    return PARSERS[request.param]()


def test_every_option_is_in_one_group_and_in_the_help(parser, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    listed = [action for actions in grouped(parser).values() for action in actions]
    assert len(listed) == len(parser._actions) and set(map(id, listed)) == set(map(id, parser._actions))
    everything = format_options(parser, everything=True)
    for action in parser._actions:
        assert f"  {action.option_strings[0]}" in everything


def test_our_own_options_are_shown_without_being_asked_for(parser):
    short = parser.format_help()
    hidden = {action.dest for action in grouped(parser).get(INHERITED, [])}
    for action in parser._actions:
        if action.dest not in hidden:
            assert f"  {action.option_strings[0]}" in short
    fixed = {"logging_nan_inf_filter", "dataloader_drop_last", "remove_unused_columns", "ddp_find_unused_parameters"}
    assert hidden <= parser.inherited | fixed
    if hidden:
        assert f"lists {len(hidden)} more options" in short and "--ddp_backend" not in short


def test_the_groups_name_options_that_there_are():
    known = {action.dest for make in PARSERS.values() for action in make()._actions}
    named = {name for names in GROUPS.values() for name in names}
    assert named - known <= {"activation_checkpointing"}  # older versions of transformers have another name


def test_groups_have_an_order_for_readers():
    titles = list(grouped(PARSERS["run_pretraining"]()))
    assert titles[:4] == ["run", "text", "blocks", "tokenizer"]
    assert titles[-1] == INHERITED and titles.index("Hub") < titles.index(INHERITED)
    assert OTHERS not in titles or titles.index(OTHERS) > titles.index("search")


def test_help_all_prints_everything_and_leaves(capsys):
    with pytest.raises(SystemExit) as leaving:
        PARSERS["prepare"]().parse(["--help_all"])
    assert leaving.value.code == 0
    assert "--slurm_qos" in capsys.readouterr().out
