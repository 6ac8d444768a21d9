"""Leave out the records of a corpus that repeat an earlier one, exactly or nearly.

What is compared is the text of a *record* (`corpora.parts`): its documents together. Two passes read a corpus once:

1. `make_signatures` turns every record into a few numbers, part by part, in worker processes or in tasks of a cluster.
2. `find_duplicates` sorts them, and keeps the first record, in the order of the corpus, of each group of equals.

`deduplicate` does both in a folder, goes on where it was interrupted, and gives the corpus without the repetitions.
"""

from electra_hf.corpora.deduplication.deduplicated import Deduplicated, deduplicate, open_deduplicated
from electra_hf.corpora.deduplication.duplicates import find_duplicates
from electra_hf.corpora.deduplication.folder import deduplication_settings, start
from electra_hf.corpora.deduplication.signatures import DeduplicationSettings, sign
from electra_hf.corpora.deduplication.signing import make_signatures

__all__ = [
    "Deduplicated",
    "DeduplicationSettings",
    "deduplicate",
    "deduplication_settings",
    "find_duplicates",
    "make_signatures",
    "open_deduplicated",
    "sign",
    "start",
]
