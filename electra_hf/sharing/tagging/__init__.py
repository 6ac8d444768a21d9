"""Tagged texts for people: what is taken for what, each type of entity, and the texts with their entities marked."""

from electra_hf.sharing.tagging.confusion import plot_confusion
from electra_hf.sharing.tagging.page import write_page
from electra_hf.sharing.tagging.type_tables import types_markdown, types_table

__all__ = ["plot_confusion", "types_markdown", "types_table", "write_page"]
