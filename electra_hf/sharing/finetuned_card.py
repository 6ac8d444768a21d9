"""The README.md of a fine-tuned model: which encoder, which task, how good over how many seeds, how to use it.

As in `model_card`, a fact that is not known leaves its line out, and what is measured comes from the files of the run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.repocard_data import eval_results_to_model_index

from electra_hf.sharing.scores import results_markdown


class FinetunedCardFacts(TypedDict, total=False):
    """What a fine-tuning run can tell about its model; every key but `name`, `task` and `results` may be absent."""

    name: str  # the heading, and the name in the example
    base_model: str  # folder or Hub id of the encoder
    task: str  # such as "sst2"
    pipeline: str  # the task's name in transformers' pipelines: "text-classification", "token-classification"
    pairs: bool  # the model reads two texts
    labels: list[str]
    language: str | list[str]
    license: str
    command: str
    seed: int  # whose weights are in the folder
    results: Mapping[str, object]  # the contents of all_results.json


def write_finetuned_card(folder: str | Path, facts: FinetunedCardFacts) -> Path:
    """Write `README.md` into a model folder, with the metadata that the Hub reads.

    Args:
        folder: The model folder; it is created if need be.
        facts: What is known about the model.

    Returns:
        The path of the card.
    """
    path = Path(folder) / "README.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    base = facts.get("base_model", "")
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=facts.get("pipeline"),
        # Only a name of the Hub can be linked.
        base_model=base if base.count("/") == 1 and not base.startswith((".", "/")) else None,
        tags=["electra", facts["task"]],
        language=facts.get("language"),
        license=facts.get("license"),
    )
    results = _eval_results(facts)
    if results:
        # Handed to the constructor, they would need a name that ModelCardData writes into the metadata again.
        data["model-index"] = eval_results_to_model_index(facts["name"], results)
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_body(facts)}").save(path)
    return path


def _eval_results(facts: FinetunedCardFacts) -> list[EvalResult]:
    """The medians over seeds, in the form in which the Hub shows them."""
    found = []
    for key, value in facts["results"].items():
        split, _, metric = key.partition("_")
        if (
            split not in ("eval", "test")
            or metric == "loss"
            or not isinstance(value, Mapping)
            or "median" not in value
        ):
            continue
        found.append(
            EvalResult(
                task_type=facts.get("pipeline", "text-classification"),
                dataset_type=facts["task"],
                dataset_name=facts["task"],
                dataset_split="validation" if split == "eval" else "test",
                metric_type=metric,
                metric_name=f"{metric} (median of {len(value['values'])})",
                metric_value=value["median"],
            )
        )
    return found


def _body(facts: FinetunedCardFacts) -> str:
    base = facts.get("base_model")
    sections = [
        f"# {facts['name']}",
        f"{f'`{base}`' if base else 'A text encoder'}, fine-tuned on {facts['task']}."
        + (f" The weights are those of seed {facts['seed']}." if "seed" in facts else ""),
        f"Labels: {', '.join(facts['labels'])}." if facts.get("labels") else "",
        "## Results\n\n" + results_markdown([dict(facts["results"])]),
        _example(facts),
        f"## Training\n\n```bash\n{facts['command']}\n```" if facts.get("command") else "",
        "## Limitations\n\nThe figures hold for texts like those of the task. The spread over seeds is shown above; a "
        "difference between two models that is smaller than it means nothing. The model was not checked for biases.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _example(facts: FinetunedCardFacts) -> str:
    pipeline = facts.get("pipeline")
    if pipeline is None:
        return ""
    argument = '{"text": "A text", "text_pair": "and another"}' if facts.get("pairs") else '"A text"'
    return (
        "## Use\n\n```python\nfrom transformers import pipeline\n\n"
        f'model = pipeline("{pipeline}", model="{facts["name"]}")\nprint(model({argument}))\n```'
    )
