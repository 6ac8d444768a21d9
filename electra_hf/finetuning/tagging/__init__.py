"""Sequence tagging: named entities, parts of speech, chunks, on words or characters."""
