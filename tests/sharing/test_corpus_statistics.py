from copy import deepcopy

import pytest
from matplotlib.image import imread
from rich.console import Console

from electra_hf.sharing.corpus_statistics import corpus_table, plot_document_lengths

MANIFEST = {
    "settings": {"packing": {"max_seq_length": 128}},
    "counts": {
        "documents": 200,
        "characters": 90_000,
        "bytes": 150_000,
        "skipped_records": 0,
        "tokens": 20_000,
        "unknown_tokens": 50,
        "blocks": 160,
        "block_tokens": 20_320,
        "full_blocks": 159,
    },
    "statistics": {"document_lengths": {"5": 20, "7": 150, "9": 30}, "unknown_characters": {"\u200b": 10, "漢": 40}},
}


def shown(manifest) -> str:
    console = Console(width=120, record=True)
    console.print(corpus_table(manifest, "wiki: train"))
    return console.export_text()


def test_table_has_the_figures_and_what_they_mean():
    text = shown(MANIFEST)
    for expected in ("450 characters each", "4.50 a token", "0.250%", "for 漢 U+200B", "99.4%", "of 128 tokens"):
        assert expected in text
    assert "left out" not in text


def test_records_left_out_have_a_row():
    manifest = deepcopy(MANIFEST)
    manifest["counts"]["skipped_records"] = 3
    assert "left out" in shown(manifest)


@pytest.mark.parametrize("lengths", [{"5": 20, "7": 150, "9": 30}, {"0": 1}, {"20": 3}])
def test_picture_is_drawn_for_any_lengths(tmp_path, lengths):
    manifest = deepcopy(MANIFEST)
    manifest["statistics"]["document_lengths"] = lengths
    image = imread(plot_document_lengths(manifest, tmp_path / "lengths.png", "wiki"))
    assert image.shape[:2] == (540, 1050) and image[..., :3].min() < 0.5
