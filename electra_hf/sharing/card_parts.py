"""What the cards of pre-trained and of fine-tuned models have in common."""

from collections.abc import Mapping, Sequence

from huggingface_hub import ModelCardData

_ENTRIES = {
    "electra": """@inproceedings{clark2020electra,
  title     = {{ELECTRA}: Pre-training Text Encoders as Discriminators Rather Than Generators},
  author    = {Clark, Kevin and Luong, Minh-Thang and Le, Quoc V. and Manning, Christopher D.},
  booktitle = {International Conference on Learning Representations},
  year      = {2020},
  url       = {https://openreview.net/forum?id=r1xMH1BtvB}
}""",
    "electric": """@inproceedings{clark2020electric,
  title     = {Pre-Training Transformers as Energy-Based Cloze Models},
  author    = {Clark, Kevin and Luong, Minh-Thang and Le, Quoc V. and Manning, Christopher D.},
  booktitle = {Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing},
  year      = {2020}
}""",
    "bert": """@inproceedings{devlin2019bert,
  title     = {{BERT}: Pre-training of Deep Bidirectional Transformers for Language Understanding},
  author    = {Devlin, Jacob and Chang, Ming-Wei and Lee, Kenton and Toutanova, Kristina},
  booktitle = {Proceedings of NAACL-HLT},
  year      = {2019}
}""",
    "software": """@software{electra_hf,
  title     = {{electra\\_hf}: pre-train {ELECTRA} text encoders with {Hugging Face} transformers},
  author    = {{The electra\\_hf developers}},
  license   = {Apache-2.0}
}""",
}


def citation(*papers: str) -> str:
    """The section with the BibTeX entries of papers, by their names here, and of this software."""
    return "## Citation\n\n```bibtex\n" + "\n\n".join(_ENTRIES[name] for name in (*papers, "software")) + "\n```"


def software(versions: Mapping[str, str]) -> str:
    """One line of names and versions; empty if there are none."""
    return f"Software: {', '.join(f'{name} {version}' for name, version in versions.items())}." if versions else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; a bar in a cell does not end it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def with_metadata(data: ModelCardData, body: str) -> str:
    """The whole text of a card: the metadata that the Hub reads, and the body."""
    return f"---\n{data.to_yaml()}\n---\n\n{body}"
