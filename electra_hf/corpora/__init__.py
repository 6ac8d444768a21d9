"""Raw text to a stream of documents: local files, Hub data sets and the embedded corpus."""

from electra_hf.corpora.corpus import Corpus, Interleaved, Limited, hold_out
from electra_hf.corpora.files import LocalFiles
from electra_hf.corpora.hub import HubDataset
from electra_hf.corpora.python_docs import PythonDocs
from electra_hf.corpora.sources import NAMED_CORPORA, open_corpora

__all__ = [
    "NAMED_CORPORA",
    "Corpus",
    "HubDataset",
    "Interleaved",
    "Limited",
    "LocalFiles",
    "PythonDocs",
    "hold_out",
    "open_corpora",
]
