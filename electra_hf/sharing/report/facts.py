"""What a run is, and how its newest numbers stand to what is known, in words: for the page and for the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from electra_hf.bands import Band
from electra_hf.sharing.report.figures import Figure, newest, short
from electra_hf.sharing.report.runs import Run, format_seconds, is_finite, positive
from electra_hf.sharing.study_tables import format_flops

_CORPUS_OPTIONS = ("corpus", "dataset_name", "train_file", "prepared_dir")


def facts_of(run: Run) -> dict[str, str]:
    """What is known about a run, under names for people; what nobody wrote down is left out."""
    facts = {
        "Objective": _objective(run),
        "Model": _model(run),
        "Parameters": _parameters(run),
        "Corpus": _corpus(run.settings),
        "Vocabulary": _count(run.info.get("vocab_size") or run.config.get("vocab_size"), "tokens"),
        "Length": _count(run.info.get("max_seq_length") or run.settings.get("max_seq_length"), "tokens at most"),
        "Steps": f"{run.step:,}{f' of {run.max_steps:,}' if run.max_steps else ''}" if run.rows else "",
        "Tokens": _tokens(run),
        "Computation": format_flops(run.flops) if run.flops else "",
        "Time": format_seconds(run.seconds) if run.seconds else "",
        "Hardware": str(run.info.get("hardware", "")),
        "Started": _time(run.info.get("started")),
        "Versions": _versions(run.info.get("versions")),
        "Fine-tuned from": ", ".join(dict.fromkeys(str(content.get("model", "")) for content in run.scores)),
        "Tasks": ", ".join(str(content["task_name"]) for content in run.scores),
    }
    return {name: text for name, text in facts.items() if text}


def _objective(run: Run) -> str:
    if not run.rows:
        return ""
    known = (source.get("objective") for source in (run.info, run.objective, run.settings))
    return str(next((name for name in known if name), "rtd"))


def _model(run: Run) -> str:
    sizes = [
        f"{run.config[key]:,} {words}"
        for key, words in (("num_hidden_layers", "layers"), ("hidden_size", "wide"), ("num_attention_heads", "heads"))
        if positive(run.config.get(key))
    ]
    kind = run.info.get("model_type") or run.config.get("model_type")
    generator = ""
    if positive(run.generator.get("hidden_size")) and positive(run.generator.get("num_hidden_layers")):
        generator = f"generator: {run.generator['num_hidden_layers']:,} layers, {run.generator['hidden_size']:,} wide"
    return "; ".join(filter(None, [", ".join([str(kind or ""), *sizes]).strip(", "), generator]))


def _parameters(run: Run) -> str:
    own, generator = _count(run.info.get("parameters")), _count(run.info.get("generator_parameters"))
    return f"{own}, generator {generator}" if own and generator else own


def _corpus(settings: Mapping[str, Any]) -> str:
    for option in _CORPUS_OPTIONS:
        value = settings.get(option)
        if value:
            values = value if isinstance(value, list) else [value]
            # Folders are somebody's own; the names at their ends tell the text.
            is_path = option in ("train_file", "prepared_dir")
            return ", ".join(PurePath(str(one)).name if is_path else str(one) for one in values)
    return ""


def _tokens(run: Run) -> str:
    if run.tokens_per_step is None:
        return ""
    return f"{format_count(run.step * run.tokens_per_step)} ({run.tokens_per_step:,.0f} a step)"


def format_count(number: float) -> str:
    """A large number for people.

    >>> format_count(1_234), format_count(12_345_678), format_count(4.2e9)
    ('1,234', '12.3 M', '4.2 G')
    """
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:,.0f}"


def _count(number: object, unit: str = "") -> str:
    return f"{format_count(number)} {unit}".strip() if is_finite(number) else ""


def _time(text: object) -> str:
    """A time as ISO 8601 has it, to the minute."""
    zone = " UTC" if str(text).endswith("+00:00") else ""
    return f"{str(text)[:16].replace('T', ' ')}{zone}" if text else ""


def _versions(versions: object) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) if isinstance(versions, dict) else ""


def values_of(runs: Sequence[Run], figures: Sequence[Figure]) -> list[tuple[Figure, list[tuple[str, str, str]]]]:
    """The newest values of each metric: in training, on held-out text, and what to think of them, for each run."""
    rows = []
    for figure in figures:
        cells = []
        for run in runs:
            training, held_out = newest(run, figure.key)
            judged = held_out if held_out is not None else training
            band = run.bands.get(figure.key)
            progress = run.step / run.max_steps if run.max_steps else 1.0
            words = verdict(band, judged, progress, figure.format) if band and judged is not None else ""
            cells.append((_shown(training, figure), _shown(held_out, figure), words))
        rows.append((figure, cells))
    return rows


def _shown(value: float | None, figure: Figure) -> str:
    return "–" if value is None else format(value, figure.format)


def verdict(band: Band, value: float, progress: float, format_spec: str) -> str:
    """How a value stands to what is known of its metric.

    >>> band = Band(0.88, 0.9, 0.5, "AUC", "logs", alarm_low=0.55)
    >>> verdict(band, 0.89, 1.0, ".2f"), verdict(band, 0.7, 1.0, ".2f"), verdict(band, 0.5, 1.0, ".2f")
    ('within 0.88–0.9', 'below 0.88–0.9', 'alarm: below 0.55')
    """
    alarm = band.alarm(value, progress)
    if alarm:
        place, threshold = ("below", band.alarm_low) if alarm == "low" else ("above", band.alarm_high)
        return "" if threshold is None else f"alarm: {place} {short(threshold, format_spec)}"
    if band.low is None or band.high is None:
        return "" if band.chance is None else f"chance: {short(band.chance, format_spec)}"
    place = "below" if value < band.low else "above" if value > band.high else "within"
    return f"{place} {band_words(band, format_spec)}"


def band_words(band: Band, format_spec: str) -> str:
    """The ends of a published band."""
    return (
        ""
        if band.low is None or band.high is None
        else f"{short(band.low, format_spec)}–{short(band.high, format_spec)}"
    )


def explain(figure: Figure, bands: Sequence[Band]) -> str:
    """What a figure shows and what its values are measured by, in a few short sentences.

    Args:
        figure: As drawn.
        bands: Of its metric, for each run that logged it.
    """
    meanings = {band.meaning for band in bands}
    meaning = meanings.pop() if len(meanings) == 1 else figure.meaning
    sentences = [meaning[:1].upper() + meaning[1:]] if meaning else []
    for band in dict.fromkeys(band for band in bands if band.low is not None):
        sentences.append(f"Shaded: {band_words(band, figure.format)}, where long runs ended ({band.source})")
    chances = sorted({band.chance for band in bands if band.chance is not None})
    if chances:
        shown = " or ".join(dict.fromkeys(short(chance, figure.format) for chance in chances))
        sentences.append(f"Knowing nothing: {shown}")
    for words, thresholds in (
        ("below", {band.alarm_low for band in bands if band.alarm_low is not None}),
        ("above", {band.alarm_high for band in bands if band.alarm_high is not None}),
    ):
        if thresholds:
            shown = " or ".join(short(threshold, figure.format) for threshold in sorted(thresholds))
            sentences.append(f"Something is wrong {words} {shown}")
    return ". ".join(sentences) + ("." if sentences else "")
