"""Texts that Arrow tables and tokenizers accept."""


def without_lone_surrogates(texts: list[str]) -> list[str]:
    """Replace halves of surrogate pairs, which JSON can spell and no tokenizer accepts."""
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError:
        return [text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for text in texts]
    return texts
