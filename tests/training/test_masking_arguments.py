"""The options of the masks."""

import pytest

from electra_hf.errors import UsageError
from electra_hf.parser import ConfigArgumentParser
from electra_hf.training import DataArguments


def test_what_the_collator_is_given(tmp_path):
    assert DataArguments().masking_options == {"masking": "token"}
    config = tmp_path / "run.yaml"
    config.write_text("masking: span\nspan_max_words: 5\n")
    (arguments,) = ConfigArgumentParser((DataArguments,)).parse(["--config", str(config), "--span_geometric_p", "0.3"])
    assert arguments.masking_options == {"masking": "span", "span_geometric_p": 0.3, "span_max_words": 5}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("masking: words", "words"),
        ("masking: whole_word\nspan_max_words: 5", "--span_max_words has no effect on --masking whole_word"),
        ("span_geometric_p: 0.2", "--span_geometric_p has no effect on --masking token"),
        ("masking: span\nspan_geometric_p: 0", "--span_geometric_p 0"),
        ("masking: span\nspan_max_words: 0", "--span_max_words 0: give a number of 1 or more"),
    ],
)
def test_options_that_cannot_work(tmp_path, text, said, capsys):
    config = tmp_path / "run.yaml"
    config.write_text(text)
    with pytest.raises((UsageError, SystemExit)) as caught:
        ConfigArgumentParser((DataArguments,)).parse(["--config", str(config)])
    assert said in f"{caught.value} {capsys.readouterr().err}"
