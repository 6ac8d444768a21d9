"""Books of Aozora Bunko, the library of Japanese works out of copyright: notation to text.

A file has the title and the author, a block between dashes that explains the notation, the work with one paragraph a
line, and from `底本：` on the description of the printed book. Readings stand in `《》`, notes in `［＃］`; a
character that Shift_JIS lacks is a note after `※` with its JIS X 0213 or Unicode number. What is kept is what is
printed: title, author and paragraphs. Letters with accents keep their spelling in two characters.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from electra_hf.corpora.corpus import join_lines
from electra_hf.corpora.decoding import text_lines
from electra_hf.corpora.formats.options import ReadingOptions

_EXPLANATION = "【テキスト中に現れる記号について】"
_PUBLISHER = "青空文庫"
_SOURCE = "底本："
_RULE = re.compile(r"-{20,}\s*")

_READING = re.compile(r"《[^《》\n]*》")
_NOTE = r"［＃(?:[^［］\n]|［[^［］\n]*］)*］"
_MISSING_CHARACTER = re.compile(f"※{_NOTE}")
_ANY_NOTE = re.compile(_NOTE)
_CODE_POINT = re.compile(r"U\+([0-9A-Fa-f]{4,6})")
_JIS_CODE = re.compile(r"(?<![\d-])([12])-(\d{1,2})-(\d{1,2})(?![\d-])")
_UNKNOWN = "〓"


def is_aozora(head: str) -> bool:
    """Whether a file is a book of Aozora Bunko, from its explanation of the notation or, if it is short, its end."""
    return _EXPLANATION in head or f"\n{_SOURCE}" in head and _PUBLISHER in head


def read_aozora(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield a book as it is written, without the explanation of the notation and the description of the source."""
    return join_lines(_work(text_lines(path, options.encoding, options.encoding_errors)))


def _work(lines: Iterator[str]) -> Iterator[str]:
    rules = 0
    for line in lines:
        if _RULE.fullmatch(line) and rules < 2:
            rules += 1
        elif line.startswith(_SOURCE):
            return
        elif rules != 1:
            yield line


def resolve_notation(text: str) -> Iterator[str]:
    r"""Replace the notation of Aozora Bunko by what is printed; a character without a number becomes `〓`.

    >>> next(resolve_notation("　所々｜丹塗《にぬり》の※［＃「てへん＋丑」、第4水準2-12-93］［＃「の」に傍点］"))
    '所々丹塗の扭'
    """
    text = _READING.sub("", text).replace("｜", "")
    # Before the notes, since they look alike; after the readings, since a missing character can be their bracket.
    text = _ANY_NOTE.sub("", _MISSING_CHARACTER.sub(_character, text))
    text = text.replace("／″＼", "〴〵").replace("／＼", "〳〵")
    text = "\n".join(filter(None, (line.strip() for line in text.split("\n"))))
    if text:
        yield text


def _character(note: re.Match[str]) -> str:
    if found := _CODE_POINT.search(note[0]):
        number = int(found[1], 16)
        return chr(number) if number <= 0x10FFFF and not 0xD800 <= number < 0xE000 else _UNKNOWN
    if found := _JIS_CODE.search(note[0]):
        plane, row, cell = (int(number) for number in found.groups())
        if 1 <= row <= 94 and 1 <= cell <= 94:
            encoded = bytes([0x8F] * (plane - 1) + [0xA0 + row, 0xA0 + cell])
            try:
                return encoded.decode("euc_jis_2004")
            except UnicodeDecodeError:
                return _UNKNOWN
    return _UNKNOWN
