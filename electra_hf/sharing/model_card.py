"""The README.md of a pre-trained model: what it is, what it saw, how good it is at its own task, how to load it.

Written from facts that the run knows, so that a card can be made at every save. A fact that is not known leaves its
line out: a card says nothing that nobody measured. Facts are values, not prose; the prose is here, once.
"""

import math
from collections.abc import Mapping
from typing import TypedDict

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.repocard_data import eval_results_to_model_index

from electra_hf.sharing.card_parts import citation, software, table, with_metadata
from electra_hf.sharing.tables import METRICS, metric_rows

# Beside the paper's own: which other work an objective is from.
_PAPERS = {"electric": ("electra", "electric"), "mlm": ("bert",), "mlm_nsp": ("bert",), "mlm_sop": ("bert",)}
# Metrics by which models on the same text can be compared; a loss says little to others.
_JUDGED = ("_auc", "_accuracy", "_precision", "_recall")


class CorpusFacts(TypedDict, total=False):
    """One corpus of a run."""

    name: str  # for people
    dataset: str  # Hub id
    license: str  # in words


class ModelCardFacts(TypedDict, total=False):
    """What a run can tell about its model; every key may be absent."""

    name: str  # the heading, and the name in the loading example, such as "my-name/electra-small-et"
    objective: str
    corpora: list[CorpusFacts]
    documents: int  # in the training text of all corpora
    corpus_tokens: int  # likewise
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
    generator_name: str  # where it is, if it is not in generator/ beside the encoder
    towers: str  # each of the two that the noise of Electric comes from, in the place of a generator
    generator_parameters: int
    command: str  # the command line that trained this model
    recipe: Mapping[str, str]  # what -> value, the most important options
    versions: Mapping[str, str]  # of the software
    steps: int
    max_steps: int  # of the whole run; if it is more than `steps`, this is a checkpoint
    tokens_seen: int
    epochs: float
    flops: float
    hours: float  # of training, without evaluations and saving
    hardware: str
    energy_kwh: float
    co2_kg: float
    results: Mapping[str, object]  # the contents of eval_results.json


def model_card(facts: ModelCardFacts, folder_name: str = "") -> str:
    """The text of a card, with the metadata that the Hub reads.

    Args:
        facts: What is known about the model.
        folder_name: The heading of a model without a name.
    """
    name = facts.get("name", folder_name)
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="fill-mask" if _fills_masks(facts) else None,
        tags=facts.get("tags"),
        language=facts.get("language"),
        license=facts.get("license"),
        datasets=_hub_datasets(facts) or None,
    )
    if results := _eval_results(facts):
        # Handed to the constructor, they would need a name that ModelCardData writes into the metadata again.
        data["model-index"] = eval_results_to_model_index(name, results)
    return with_metadata(data, _body(facts, name))


def _hub_datasets(facts: ModelCardFacts) -> list[str]:
    return list(dict.fromkeys(corpus["dataset"] for corpus in facts.get("corpora", []) if "dataset" in corpus))


def _fills_masks(facts: ModelCardFacts) -> bool:
    return facts.get("objective") in ("mlm", "mlm_nsp", "mlm_sop")


def _eval_results(facts: ModelCardFacts) -> list[EvalResult]:
    """What was measured on held-out text, in the form in which the Hub shows it."""
    results, corpora = facts.get("results", {}), facts.get("corpora", [])
    names, datasets = [corpus["name"] for corpus in corpora if "name" in corpus], _hub_datasets(facts)
    if not names:
        return []
    found = []
    for metric in METRICS:
        value = results.get(f"eval_{metric.key}")
        if not metric.key.endswith(_JUDGED) or metric.key.startswith("unigram") or not isinstance(value, int | float):
            continue
        if not math.isfinite(value):
            continue
        found.append(
            EvalResult(
                task_type="fill-mask" if _fills_masks(facts) else "token-classification",
                task_name=f"pre-training ({facts.get('objective', 'its own task')})",
                dataset_type=datasets[0] if len(corpora) == 1 and datasets else "text",
                dataset_name=f"held out of {', '.join(names)}",
                dataset_split="validation",
                metric_type=metric.key,
                metric_name=metric.name.strip(),
                metric_value=value,
            )
        )
    return found


def _body(facts: ModelCardFacts, name: str) -> str:
    sections = [
        f"# {name}\n\n{facts.get('about', '')}",
        _unfinished(facts),
        _bullets(facts),
        _loading(name, facts),
        _evaluation(facts),
        _training(facts),
        _limitations(facts),
        citation(*_PAPERS.get(facts.get("objective", ""), ("electra",))),
    ]
    return "\n\n".join(section.rstrip() for section in sections if section) + "\n"


def _unfinished(facts: ModelCardFacts) -> str:
    steps, all_steps = facts.get("steps"), facts.get("max_steps")
    if steps is None or all_steps is None or steps >= all_steps:
        return ""
    return f"**A checkpoint**: the state after step {steps:,} of {all_steps:,}."


def _bullets(facts: ModelCardFacts) -> str:
    lines = [
        ("Trained on", _corpora(facts)),
        ("Tokenizer", _joined(facts.get("tokenizer"), _count(facts.get("vocab_size"), "token"))),
        ("Encoder", _joined(facts.get("encoder"), _count(facts.get("encoder_parameters"), "parameter"))),
        ("Generator", _joined(_generator(facts), _count(facts.get("generator_parameters"), "parameter"))),
        ("Longest input", _count(facts.get("max_length"), "token")),
        ("Trained for", _amount(facts)),
        ("Hardware", _joined(facts.get("hardware"), _hours(facts))),
        ("Energy", _energy(facts)),
    ]
    return "\n".join(f"- **{label}**: {value}" for label, value in lines if value)


def _corpora(facts: ModelCardFacts) -> str:
    def described(corpus: CorpusFacts) -> str:
        name = corpus.get("name", corpus.get("dataset", ""))
        if "dataset" in corpus:
            name = f"[{name}](https://huggingface.co/datasets/{corpus['dataset']})"
        return f"{name} (licence: {corpus['license']})" if "license" in corpus else name

    names = "; ".join(described(corpus) for corpus in facts.get("corpora", []))
    size = _joined(_count(facts.get("documents"), "document"), _count(facts.get("corpus_tokens"), "token"))
    return f"{names}: {size}" if names and size else names or size


def _generator(facts: ModelCardFacts) -> str | None:
    if "towers" in facts:
        return f"two towers (`generator_forward/`, `generator_backward/`), each {facts['towers']}"
    if "generator" not in facts:
        return None
    return f"{facts['generator']} (in `{facts.get('generator_name', 'generator/')}`)"


def _amount(facts: ModelCardFacts) -> str:
    epochs, flops = facts.get("epochs"), facts.get("flops")
    return _joined(
        _count(facts.get("steps"), "step"),
        _count(facts.get("tokens_seen"), "token") + (" (padding not counted)" if "tokens_seen" in facts else ""),
        None if epochs is None else f"{epochs:.3g} {'epoch' if epochs == 1 else 'epochs'}",
        None if not flops else f"{flops:.2e} FLOPs (matrix products, forward and backward)",
    )


def _hours(facts: ModelCardFacts) -> str | None:
    hours = facts.get("hours")
    if hours is None:
        return None
    return f"{hours:,.1f} hours of training" if hours >= 1 else f"{hours * 60:.1f} minutes of training"


def _energy(facts: ModelCardFacts) -> str:
    if "energy_kwh" not in facts:
        return ""
    co2 = f", {facts['co2_kg']:.2g} kg of CO2-equivalent" if "co2_kg" in facts else ""
    return f"{facts['energy_kwh']:.2g} kWh{co2} (estimated by codecarbon)"


def _count(number: int | None, unit: str) -> str:
    """
    >>> _count(1, "step"), _count(2_000, "step"), _count(None, "step")
    ('1 step', '2,000 steps', '')
    """
    return "" if number is None else f"{number:,} {unit}{'' if number == 1 else 's'}"


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _training(facts: ModelCardFacts) -> str:
    recipe, parts = facts.get("recipe", {}), []
    if recipe:
        parts.append(table(["option", "value"], list(recipe.items())))
    if command := facts.get("command"):
        parts.append(f"```bash\n{command}\n```")
        parts.append("All options are in `pretraining_config.yaml` beside this card; `--config` on it repeats them.")
    if versions := facts.get("versions"):
        parts.append(software(versions))
    return "## Training\n\n" + "\n\n".join(parts) if parts else ""


def _evaluation(facts: ModelCardFacts) -> str:
    rows = metric_rows(facts.get("results", {}))
    if not rows:
        return ""
    lines = ["| on held-out text | | |", "|---|---:|---|"]
    lines += [f"| {name.strip()} | {value} | {meaning} |" for name, value, meaning in rows]
    return "## Evaluation\n\n" + "\n".join(lines) + "\n\nOne run; how much another seed would differ was not measured."


def _loading(name: str, facts: ModelCardFacts) -> str:
    """Code that loads the encoder, and what else there is in the folder; a test runs it."""
    tags, has_generator = facts.get("tags", []), "generator" in facts
    restores = "masked-language-modeling" in tags
    scores = not restores and facts.get("encoder", "").startswith("electra")
    classes = ["AutoModel", "AutoTokenizer"]
    lines = [
        f'tokenizer = AutoTokenizer.from_pretrained("{name}")',
        f'encoder = AutoModel.from_pretrained("{name}")  # to be fine-tuned',
        'inputs = tokenizer("A text.", return_tensors="pt")',
        "hidden_states = encoder(**inputs).last_hidden_state  # (1, tokens, hidden size)",
    ]
    if restores:
        classes.append("AutoModelForMaskedLM")
        lines.append(f'model = AutoModelForMaskedLM.from_pretrained("{name}")  # with its head over the vocabulary')
    elif scores:
        classes.append("AutoModelForPreTraining")
        lines.append(f'model = AutoModelForPreTraining.from_pretrained("{name}")  # with its score for each token')
        if "energy-based-model" in tags:
            lines.append("energies = model(**inputs).logits  # (1, tokens)")
        else:
            lines.append("suspicion = model(**inputs).logits.sigmoid()  # (1, tokens), probability of a swap")
    if has_generator:
        classes.append("AutoModelForMaskedLM")
        own = facts.get("generator_name")
        place = f'"{own}"' if own else f'"{name}", subfolder="generator"'
        lines.append(f"generator = AutoModelForMaskedLM.from_pretrained({place})")
    head = f"from transformers import {', '.join(sorted(set(classes)))}"
    return "\n".join(["## Use", "", "```python", head, "", *lines, "```"])


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


def generator_card(name: str, encoder_name: str, facts: ModelCardFacts) -> str:
    """The short card of a generator that has a repository of its own.

    Args:
        name: Its name on the Hub.
        encoder_name: That of the encoder it was trained with.
        facts: Of that encoder.
    """
    tags = [tag for tag in facts.get("tags", []) if tag != "replaced-token-detection"]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="fill-mask",
        tags=[*tags, "generator"],
        language=facts.get("language"),
        license=facts.get("license"),
        datasets=_hub_datasets(facts) or None,
    )
    size = _joined(facts.get("generator"), _count(facts.get("generator_parameters"), "parameter"))
    architecture = f" Architecture: {size}." if size else ""
    body = (
        f"# {name}\n\nThe generator of [{encoder_name}](https://huggingface.co/{encoder_name}): a small masked "
        "language model that proposed the replacements in its pre-training. For other tasks fine-tune that encoder, "
        f"not this one; its card tells the text, the recipe and the results.{architecture}\n\n"
        "## Use\n\n```python\nfrom transformers import pipeline\n\n"
        f'fill = pipeline("fill-mask", model="{name}")\n'
        'print(fill(f"A {fill.tokenizer.mask_token} text."))\n```\n'
    )
    return with_metadata(data, body)
