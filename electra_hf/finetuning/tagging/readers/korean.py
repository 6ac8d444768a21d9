"""The published layouts of KLUE-NER and of the Naver NER data."""

from collections.abc import Iterator
from pathlib import Path

from electra_hf.corpora.decoding import text_lines
from electra_hf.errors import CorpusError
from electra_hf.finetuning.tagging.readers.sentences import Sentence, Sentences
from electra_hf.finetuning.tasks.tables import Encoding

KLUE_MARK = "## "

# A line with its number, from 1.
_Line = tuple[int, str]


def read_klue(path: Path, encoding: Encoding) -> Sentences:
    r"""Read KLUE-NER's TSV: a character and its tag in a line, spaces among them.

    A sentence begins with `## id<TAB>text`, in which entities are marked as `<text:TYPE>`; the five lines of the same
    kind before the first one describe the format. The characters must be those of the text, and the marks must be
    where the tags are.

    Args:
        path: A local file, or a URL opened by `corpora.remote.as_path`.
        encoding: Of the file, with what becomes of invalid bytes.

    Raises:
        CorpusError: A file that cannot be read or has no sentence, a line that is not a character and a tag, or a
            sentence that differs from its text.
    """
    rows: list[Sentence] = []
    empty: list[int] = []
    for header, lines in _klue_sentences(path, encoding):
        idx, tab, text = header[1].removeprefix(KLUE_MARK).partition("\t")
        if not lines:
            # Before the first sentence such lines are the description.
            if tab and rows:
                empty.append(header[0])
            continue
        characters, tags = [], []
        for number, line in lines:
            character, _, tag = line.partition("\t")
            if len(character) != 1 or not tag or "\t" in tag:
                raise CorpusError(
                    f"{path}, line {number}: {line[:40]!r} instead of a character, a tab and its tag: download the "
                    "file again"
                )
            characters.append(character)
            tags.append(tag)
        # Copies of the file may have lost white space at the end of a line.
        if tab and _marked(characters, tags).rstrip() != text.rstrip():
            raise CorpusError(
                f"{path}, line {header[0]}: the characters and tags below are not those of this text, but of "
                f"{_marked(characters, tags)!r}: were spaces stripped, or lines lost? Download the file again"
            )
        rows.append(Sentence(characters, tags, idx, [number for number, _ in lines]))
    if not rows:
        raise CorpusError(f"{path}: there is no sentence in it: download or write it again")
    sentences = Sentences(str(path), "character", rows)
    if empty:
        sentences.notes.append(_left_out(path, empty))
    return sentences


def _klue_sentences(path: Path, encoding: Encoding) -> Iterator[tuple[_Line, list[_Line]]]:
    """Each `## ` line with the lines below it, up to a blank line or the next one of its kind."""
    header: _Line | None = None
    below: list[_Line] = []
    for number, line in enumerate(text_lines(path, *encoding, whole=True), start=1):
        if line.startswith(KLUE_MARK) or not line:
            if header is not None:
                yield header, below
            header, below = ((number, line) if line else None), []
        elif header is None:
            raise CorpusError(
                f"{path}, line {number}: characters without a `## id` line before them: is this KLUE's layout? "
                "Otherwise use --file_format conll --label_unit character"
            )
        else:
            below.append((number, line))
    if header is not None:
        yield header, below


def _marked(characters: list[str], tags: list[str]) -> str:
    """The text with its entities marked as `<text:TYPE>`."""
    pieces: list[str] = []
    before = "O"
    for character, tag in zip([*characters, ""], [*tags, "O"], strict=True):
        begins = tag != "O" and (not tag.startswith("I") or tag[1:] != before[1:])
        if before != "O" and (begins or tag == "O"):
            pieces.append(f":{before[2:]}>")
        if begins:
            pieces.append("<")
        pieces.append(character)
        before = tag
    return "".join(pieces)


def _left_out(path: Path, lines: list[int]) -> str:
    """A note on lines that hold no sentence."""
    number = len(lines)
    verb = "sentence is" if number == 1 else "sentences are"
    return f"{path.name}: {number:,} {verb} empty (the first: line {lines[0]}), and left out."


def read_naver(path: Path, encoding: Encoding, *, optional: bool = False) -> Sentences:
    """Read lines of a sentence, a tab, and a tag for each word; the words have spaces between them, and the tags.

    Args:
        path: A local file, or a URL opened by `corpora.remote.as_path`.
        encoding: Of the file, with what becomes of invalid bytes.
        optional: Whether the lines may have no tags, all of them.

    Raises:
        CorpusError: A file that cannot be read or has no sentence, or a line whose tags are not as many as its words.
    """
    rows: list[Sentence] = []
    unlabelled: list[int] = []
    empty: list[int] = []
    for number, line in enumerate(text_lines(path, *encoding, whole=True), start=1):
        if not line.strip(" "):
            empty.append(number)
            continue
        sentence, *labels = line.split("\t")
        if len(labels) > 1:
            raise CorpusError(
                f"{path}, line {number}: {len(labels)} tabs, where one stands between the sentence and its tags: "
                "remove the tabs from inside the sentence"
            )
        words = [word for word in sentence.split(" ") if word]
        tags = [tag for tag in labels[0].split(" ") if tag] if labels else None
        if not labels:
            unlabelled.append(number)
        if tags is not None and len(tags) != len(words):
            raise CorpusError(
                f"{path}, line {number}: {len(words)} words and {len(tags)} tags: write one tag for each word, with "
                "a space between them"
            )
        if words:
            rows.append(Sentence(words, tags, str(number - 1), [number]))
        else:
            empty.append(number)
    if not rows:
        raise CorpusError(f"{path}: there is no sentence in it: download or write it again")
    if unlabelled and not (optional and len(unlabelled) == len(rows)):
        raise CorpusError(f"{path}, line {unlabelled[0]}: no tab and no tags after the sentence: add them")
    sentences = Sentences(str(path), "word", rows)
    if empty:
        sentences.notes.append(_left_out(path, empty))
    return sentences
