"""Windows over long texts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from electra_hf.finetuning.tagging.windows import cut_windows, owning_windows

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=40)


@st.composite
def texts(draw: st.DrawFn) -> tuple[list[int], int, int]:
    """Tokens of each unit of a text, tokens of a window, and tokens that two share."""
    room = draw(st.integers(1, 25))
    return draw(sizes), room, draw(st.integers(0, room - 1))


def cut(units: list[int], room: int, overlap: int) -> list[tuple[int, int]]:
    starts = np.cumsum([0, *units[:-1]])
    return cut_windows(starts, sum(units), room, overlap)


@given(texts())
def test_no_window_is_too_long_and_no_unit_is_lost(text: tuple[list[int], int, int]):
    units, room, overlap = text
    windows = cut(units, room, overlap)
    assert all(0 < end - start <= room for start, end in windows)
    assert windows == sorted(set(windows))
    place = 0
    for size in units:
        # All of its tokens, or as many as there can be.
        wanted = place, place + min(size, room)
        assert any(start <= wanted[0] and wanted[1] <= end for start, end in windows)
        place += size


@given(texts())
def test_neighbours_share_as_many_tokens_as_units_allow(text: tuple[list[int], int, int]):
    units, room, overlap = text
    windows = cut(units, room, overlap)
    borders = np.cumsum([0, *units]).tolist()
    for (first, end), (start, _) in zip(windows, windows[1:], strict=False):
        assert start > first
        assert end - start <= overlap
        if end in borders:
            # No unit begins further to the left that still fits.
            assert not any(max(end - overlap, first + 1) <= border < start for border in borders)


@given(texts())
def test_a_token_is_read_where_it_has_most_context(text: tuple[list[int], int, int]):
    units, room, overlap = text
    windows = cut(units, room, overlap)
    tokens = np.cumsum([0, *units[:-1]])
    for token, owner in zip(tokens.tolist(), owning_windows(windows, tokens).tolist(), strict=True):
        context = {
            number: min(token - start, end - 1 - token)
            for number, (start, end) in enumerate(windows)
            if start <= token < end
        }
        assert context[owner] == max(context.values())
        assert owner == min(number for number, value in context.items() if value == context[owner])


def test_a_text_that_fits_is_one_window():
    assert cut([2, 3, 1], 6, 2) == [(0, 6)]


def test_a_unit_that_is_longer_than_a_window_is_cut():
    assert cut([2, 9, 2], 4, 1) == [(0, 2), (2, 6), (11, 13)]
