"""Unicode normalisation of a corpus."""

import unicodedata
from collections.abc import Iterable
from functools import partial
from typing import Any

from electra_hf.corpora.corpus import Corpus, converted
from electra_hf.errors import UsageError

NORMALIZATION_FORMS = ("none", "NFC", "NFKC")


def normalized(corpus: Corpus, form: str) -> Corpus:
    """The corpus in a normal form of Unicode.

    Args:
        corpus: The texts.
        form: `NFC` composes characters, which Korean and Vietnamese text in decomposed form needs. `NFKC` also unifies
            full-width and half-width letters, ligatures and the like. `none` leaves the text as it is.

    Raises:
        UsageError: An unknown form.
    """
    if form not in NORMALIZATION_FORMS:
        raise UsageError(f"unknown unicode_normalization {form!r}: use one of {', '.join(NORMALIZATION_FORMS)}")
    if form == "none":
        return corpus
    # The tables differ from one version of Unicode to the next.
    identity: dict[str, Any] = {"unicode_normalization": form, "unicode": unicodedata.unidata_version}
    return converted(corpus, partial(normalize, form=form), identity)


def normalize(text: str, form: Any) -> Iterable[str]:
    """The text in the given form. Lines stay lines: no character is normalised to a line feed."""
    return (unicodedata.normalize(form, text),)
