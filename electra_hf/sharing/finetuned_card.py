"""The README.md of a fine-tuned model: which encoder, which task, how good over how many seeds, how to use it.

As in `model_card`, a fact that is not known leaves its line out, and what is measured comes from the files of the run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Required, TypedDict

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.repocard_data import eval_results_to_model_index

from electra_hf.sharing.card_parts import citation, software, with_metadata
from electra_hf.sharing.scores import is_of_a_type, results_markdown


class FinetunedCardFacts(TypedDict, total=False):
    """What a fine-tuning run can tell about its model; every key but `name`, `task` and `results` may be absent."""

    name: Required[str]  # the heading, and the name in the example: a Hub id, or the folder's own name
    base_model: str  # folder or Hub id of the encoder
    task: Required[str]  # such as "sst2"
    dataset: str  # the Hub id of the task's data set; without it the metadata hold no scores
    dataset_config: str
    pipeline: str  # the task's name in transformers' pipelines: "text-classification", "token-classification"
    pairs: bool  # the model reads two texts
    unit: str  # what a tagger tags: "word" or "character"
    crf: bool  # the model is a TokenClassificationWithCRF
    labels: list[str]
    language: str | list[str]
    license: str
    command: str
    versions: Mapping[str, str]  # of the software
    hardware: str
    seed: int  # whose weights are in the folder
    results: Required[Mapping[str, object]]  # the contents of all_results.json


def finetuned_card(facts: FinetunedCardFacts, config: Mapping[str, Any]) -> str:
    """The text of a card, with the metadata that the Hub reads.

    Args:
        facts: What is known about the model.
        config: Its config.json, for the architecture and for what the scores of a regression were divided by
            (`score_scale`).
    """
    base = facts.get("base_model", "")
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=facts.get("pipeline"),
        base_model=base if _is_hub_id(base) else None,
        tags=[tag for tag in (config.get("model_type"), facts["task"]) if tag],
        language=facts.get("language"),
        license=facts.get("license"),
        datasets=facts.get("dataset"),
    )
    results = _eval_results(facts)
    if results:
        # Handed to the constructor, they would need a name that ModelCardData writes into the metadata again.
        data["model-index"] = eval_results_to_model_index(facts["name"], results)
    return with_metadata(data, _body(facts, config))


def _is_hub_id(name: str) -> bool:
    """Only a name of the Hub can be linked; a folder may look like one."""
    return bool(name) and name.count("/") <= 1 and not name.startswith((".", "/", "~")) and not Path(name).exists()


def _eval_results(facts: FinetunedCardFacts) -> list[EvalResult]:
    """The medians over seeds, in the form in which the Hub shows them."""
    found = []
    results = facts["results"]
    if "dataset" not in facts:
        return found
    for key, value in results.items():
        prefix, _, metric = key.partition("_")
        if prefix not in ("eval", "test") or metric == "loss" or not isinstance(value, Mapping):
            continue
        if "median" not in value or is_of_a_type(key, results):
            continue
        split = "validation" if prefix == "eval" else "test"
        if f"{prefix}_{metric}_mm" in results:
            split += "_matched"
        elif metric.endswith("_mm"):
            metric, split = metric.removesuffix("_mm"), f"{split}_mismatched"
        found.append(
            EvalResult(
                task_type=facts.get("pipeline", "text-classification"),
                dataset_type=facts["dataset"],
                dataset_config=facts.get("dataset_config"),
                dataset_name=facts["task"],
                dataset_split=split,
                metric_type=metric,
                metric_name=_metric_name(metric, value),
                metric_value=value["median"],
            )
        )
    return found


def _metric_name(metric: str, value: Mapping[str, Any]) -> str:
    seeds, std = len(value["values"]), value.get("std")
    if seeds == 1:
        return f"{metric} (one seed)"
    return f"{metric} (median of {seeds} seeds" + (f", standard deviation {std:.4f})" if std is not None else ")")


def _body(facts: FinetunedCardFacts, config: Mapping[str, Any]) -> str:
    base = facts.get("base_model")
    sections = [
        f"# {facts['name']}",
        f"{f'`{base}`' if base else 'A text encoder'}, fine-tuned on {facts['task']}."
        + (f" The weights are those of seed {facts['seed']}." if "seed" in facts else ""),
        f"Labels: {', '.join(facts.get('labels', []))}." if facts.get("labels") else "",
        _outputs(config),
        "## Results\n\n" + results_markdown([dict(facts["results"])]),
        _example(facts),
        _training(facts),
        "## Limitations\n\nThe figures hold for texts like those of the task. The spread over seeds is shown above; a "
        "difference between two models that is smaller than it means nothing. The model was not checked for biases.",
        citation("electra"),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _training(facts: FinetunedCardFacts) -> str:
    command, hardware = facts.get("command"), facts.get("hardware")
    parts = [
        f"```bash\n{command}\n```" if command else "",
        f"Hardware: {hardware}." if hardware else "",
        software(facts.get("versions", {})),
    ]
    return "## Training\n\n" + "\n\n".join(part for part in parts if part) if any(parts) else ""


def _outputs(config: Mapping[str, Any]) -> str:
    scale = config.get("score_scale", 1.0)
    if config.get("problem_type") != "regression" or scale == 1.0:
        return ""
    return f"The model's output is the score divided by {scale:g}: multiply it by {scale:g}."


def _example(facts: FinetunedCardFacts) -> str:
    pipeline = facts.get("pipeline")
    if pipeline is None:
        return ""
    where = "" if "/" in facts["name"] else "  # this folder, or its name on the Hub"
    argument = '{"text": "A text", "text_pair": "and another"}' if facts.get("pairs") else '"A text"'
    options = ', aggregation_strategy="first"' if pipeline == "token-classification" else ""
    if facts.get("unit") == "character":
        return (
            "## Use\n\nThe model tags single characters, and was trained on texts that were cut into them. A pipeline "
            "cuts them into the tokens of pre-training, each of which would get the tag of its first character. Tag "
            "texts with `run_ner.py --no_do_train --do_predict --test_file` of electra_hf, which has made the figures "
            "above."
        )
    simple = (
        "## Use\n\n```python\nfrom transformers import pipeline\n\n"
        f'model = pipeline("{pipeline}", model="{facts["name"]}"{options}){where}\nprint(model({argument}))\n```'
    )
    return f"{simple}\n\n{_example_with_crf(facts['name'])}" if facts.get("crf") else simple


def _example_with_crf(name: str) -> str:
    return (
        "So transformers gives the tags of highest probability, each by itself. The CRF, which the figures above are "
        "with, finds the most probable sequence of tags:\n\n"
        "```python\nfrom electra_hf.models.tagged_tokens import first_tokens\n"
        "from electra_hf.models.token_classification import TokenClassificationWithCRF\n"
        "from transformers import AutoTokenizer\n\n"
        f'model = TokenClassificationWithCRF.from_pretrained("{name}").eval()\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{name}")\n'
        'words = ["These", "are", "words"]\n'
        'tokens = tokenizer(words, is_split_into_words=True, return_tensors="pt")\n'
        "tags = model.decode(**tokens, tag_mask=first_tokens(tokens))[0]\n"
        "for word, tag in zip(words, tags[tags >= 0].tolist()):  # -100: special tokens, and pieces inside a word\n"
        "    print(word, model.config.id2label[tag])\n```"
    )
