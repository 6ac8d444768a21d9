"""Where the morphemes of Japanese and Korean text begin, as MeCab sees it; used while a vocabulary is learnt.

A vocabulary that is learnt with these boundaries has no token across one, as in KLUE's models. Encoding knows nothing
of them: the saved tokenizer needs no MeCab, and cuts a text where its tokens fit.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module

from electra_hf.errors import TokenizerError, UsageError

PRE_TOKENIZERS = ("none", "mecab-ja", "mecab-ko")
_LONGEST = 10_000  # MeCab's lattice of a huge line would fill the memory

Boundaries = Callable[[str], Iterator[int]]


def mark_boundaries(texts: Iterable[str], find: Boundaries, delimiter: str) -> Iterator[str]:
    """Put a delimiter between the morphemes of each line, but not beside white space, where a word ends anyway.

    Args:
        texts: lines.
        find: from a line to the places where a morpheme begins.
        delimiter: one character; taken out of the text itself.
    """
    for text in texts:
        text = text.replace(delimiter, "").replace("\0", " ")  # MeCab would stop at a NUL
        for start in range(0, len(text), _LONGEST):
            line = text[start : start + _LONGEST]
            yield "".join(_marked(line, find, delimiter))


def _marked(line: str, find: Boundaries, delimiter: str) -> Iterator[str]:
    last = 0
    for place in find(line):
        if 0 < place < len(line) and not (line[place].isspace() or line[place - 1].isspace()):
            yield line[last:place] + delimiter
            last = place
    yield line[last:]


def open_pre_tokenizer(name: str) -> Boundaries:
    """The boundary finder `mecab-ja` (fugashi with unidic-lite) or `mecab-ko` (python-mecab-ko).

    Raises:
        UsageError: the name is unknown.
        TokenizerError: its packages are not installed.
    """
    if name not in PRE_TOKENIZERS[1:]:
        raise UsageError(f"--pre_tokenizer {name!r} is unknown: choose {', '.join(PRE_TOKENIZERS)}")
    packages, extra = (("fugashi", "unidic_lite"), "japanese") if name == "mecab-ja" else (("mecab",), "korean")
    try:
        module, *_ = [import_module(package) for package in packages]
    except ImportError as error:
        names = "fugashi unidic-lite" if name == "mecab-ja" else "python-mecab-ko"
        raise TokenizerError(
            f"--pre_tokenizer {name} needs packages that are not installed ({error}): pip install {names}, or "
            f"pip install 'electra_hf[{extra}]'"
        ) from error
    if name == "mecab-ja":
        tagger = module.Tagger("-Owakati")
        return lambda line: _surfaces(line, (str(word) for word in tagger(line)))
    analyser = module.MeCab()
    return lambda line: (morpheme.span.start for morpheme in analyser.parse(line))


def _surfaces(line: str, surfaces: Iterable[str]) -> Iterator[int]:
    place = 0
    for surface in surfaces:
        place = line.index(surface, place)
        yield place
        place += len(surface)
