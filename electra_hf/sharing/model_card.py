"""The README.md of a pre-trained model: what it is, what it saw, how good it is at its own task, how to load it.

Written from facts that the run knows, so that a card can be made at every save. A fact that is not known leaves its
line out: a card says nothing that nobody measured. Facts are values, not prose; the prose is here, once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from huggingface_hub import ModelCard, ModelCardData

from electra_hf.sharing.tables import metric_rows


class ModelCardFacts(TypedDict, total=False):
    """What a run can tell about its model; every key may be absent."""

    name: str  # the heading, and the name in the loading example, such as "my-name/electra-small-et"
    corpora: list[str]  # names for people; those of the form "owner/name" are also linked as data sets of the Hub
    language: str | list[str]  # ISO 639 codes
    license: str  # an identifier of the Hub, such as "apache-2.0"
    tokenizer: str  # such as "WordPiece, lower-case"
    vocab_size: int
    max_length: int
    about: str  # what kind of model it is, in sentences
    tags: list[str]  # of the Hub
    encoder: str  # the architecture in words, such as "electra, 12 layers, hidden size 256, 4 heads"
    encoder_parameters: int
    generator: str
    towers: str  # each of the two that the noise of Electric comes from, in the place of a generator
    generator_parameters: int
    command: str  # the command line that trains this model
    steps: int
    tokens_seen: int
    hardware: str
    results: Mapping[str, object]  # the contents of eval_results.json


def write_model_card(folder: str | Path, facts: ModelCardFacts) -> Path:
    """Write `README.md` into a model folder, with the metadata that the Hub reads.

    Args:
        folder: The model folder; it is created if need be.
        facts: What is known about the model.

    Returns:
        The path of the card.
    """
    path = Path(folder) / "README.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    hub_datasets = [
        name for name in facts.get("corpora", []) if name.count("/") == 1 and not name.startswith((".", "/"))
    ]
    data = ModelCardData(
        library_name="transformers",
        tags=facts.get("tags"),
        language=facts.get("language"),
        license=facts.get("license"),
        datasets=hub_datasets or None,
    )
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_body(facts, Path(folder).name)}").save(path)
    return path


def _body(facts: ModelCardFacts, folder_name: str) -> str:
    name = facts.get("name", folder_name)
    sections = [
        f"# {name}\n\n{facts.get('about', '')}",
        _bullets(facts),
        _training(facts),
        _evaluation(facts),
        _loading(name, facts),
        _limitations(facts),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _bullets(facts: ModelCardFacts) -> str:
    lines = [
        ("Trained on", ", ".join(facts.get("corpora", []))),
        ("Tokenizer", _joined(facts.get("tokenizer"), _count(facts.get("vocab_size"), "tokens"))),
        (
            "Encoder",
            _joined(facts.get("encoder"), _count(facts.get("encoder_parameters"), "parameters")),
        ),
        ("Generator", _joined(_generator(facts), _count(facts.get("generator_parameters"), "parameters"))),
        ("Longest input", _count(facts.get("max_length"), "tokens")),
        ("Trained for", _joined(_count(facts.get("tokens_seen"), "tokens"), _count(facts.get("steps"), "steps"))),
        ("Hardware", facts.get("hardware", "")),
    ]
    return "\n".join(f"- **{label}**: {value}" for label, value in lines if value)


def _generator(facts: ModelCardFacts) -> str | None:
    if "towers" in facts:
        return f"two towers (`generator_forward/`, `generator_backward/`), each {facts['towers']}"
    return facts.get("generator")


def _count(number: int | None, unit: str) -> str:
    return "" if number is None else f"{number:,} {unit}".strip()


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _training(facts: ModelCardFacts) -> str:
    command = facts.get("command")
    return f"## Training\n\n```bash\n{command}\n```" if command else ""


def _evaluation(facts: ModelCardFacts) -> str:
    rows = metric_rows(facts.get("results", {}))
    if not rows:
        return ""
    table = ["| on held-out text | | |", "|---|---:|---|"]
    table += [f"| {name.strip()} | {value} | {meaning} |" for name, value, meaning in rows]
    return "## Evaluation\n\n" + "\n".join(table)


def _loading(name: str, facts: ModelCardFacts) -> str:
    """Code that loads the encoder, and what else there is in the folder."""
    tags, has_generator = facts.get("tags", []), "generator" in facts
    main_head = None
    if "masked-language-modeling" in tags:
        main_head = ("AutoModelForMaskedLM", "with its head over the vocabulary")
    elif facts.get("encoder", "").startswith("electra"):
        main_head = ("AutoModelForPreTraining", "with its score for each token")
    classes = {"AutoModel", "AutoTokenizer"} | ({main_head[0]} if main_head else set())
    classes |= {"AutoModelForMaskedLM"} if has_generator else set()
    lines = [
        f"from transformers import {', '.join(sorted(classes))}",
        "",
        f'tokenizer = AutoTokenizer.from_pretrained("{name}")',
        f'encoder = AutoModel.from_pretrained("{name}")',
    ]
    if main_head:
        lines.append(f'model = {main_head[0]}.from_pretrained("{name}")  # {main_head[1]}')
    if has_generator:
        lines.append(f'generator = AutoModelForMaskedLM.from_pretrained("{name}", subfolder="generator")')
    return "\n".join(["## Use", "", "```python", *lines, "```"])


def _limitations(facts: ModelCardFacts) -> str:
    rows = metric_rows(facts.get("results", {}))
    detects = "replaced-token-detection" in facts.get("tags", [])
    measured = "The numbers above are about its own pre-training task" if rows else "No evaluation is recorded here"
    sentences = [f"{measured}; how well it does on another task is known only after fine-tuning on it."]
    if detects and "generator" in facts:
        sentences.append(
            "The detection scores of two models can be compared only if their generators are the same: a better "
            "generator makes better fakes."
        )
    sentences.append(
        "The model knows the language, the topics and the biases of the text listed above and has not been checked "
        "for harmful ones."
    )
    if detects:
        sentences.append("It writes no text, and its suspicion of a token is no judgement of grammar or of truth.")
    return "## Limitations\n\n" + " ".join(sentences)
