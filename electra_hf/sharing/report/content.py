"""Everything on the page as JSON values: numbers for the script, and HTML for what reads without one.

All text in the HTML is escaped here, and nowhere else is HTML made; the script puts text into the page as text.
"""

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from electra_hf.bands import Band, binary_entropy
from electra_hf.sharing.curves import BLUE, GREEN, VERMILION
from electra_hf.sharing.demo.records import SUSPECTED, JudgedText, is_joined, readable
from electra_hf.sharing.rendering import score
from electra_hf.sharing.report.facts import band_words, explain, facts_of, values_of
from electra_hf.sharing.report.figures import MOST_POINTS, Figure, Line, figures_of, lines_of, newest
from electra_hf.sharing.report.runs import Run, Status
from electra_hf.sharing.scores import ScoreRow, score_rows

# Okabe and Ito's colours, those legible on white and those legible on a dark ground. A run has also a dash and a
# marker of its own: the numbers of colours and dashes share no divisor, so that no two of 30 runs look alike.
LIGHT = (BLUE, VERMILION, GREEN, "#CC79A7", "#000000")
DARK = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#FFFFFF")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x")
# Of a run that observed its texts more often.
MOST_OBSERVATIONS = 40
_DASH = "–"


def content_of(runs: Sequence[Run]) -> dict[str, Any]:
    """What the page shows.

    Args:
        runs: One or more, each with a name of its own.

    Returns:
        JSON values without NaN: `title`, `made` (time), `status` (of a single run), `runs` (name, style, tokens of a
        step and the lines of each), `figures`, `scores`, `samples` and `html` (the tables, by the id of their place).
    """
    lines = [lines_of(run.rows) for run in runs]
    figures = figures_of(lines)
    fine_tuned = [(place, row) for place, run in enumerate(runs) for row in score_rows(run.scores) if row.values]
    return {
        "title": " and ".join(run.name for run in runs) if len(runs) < 3 else f"{len(runs)} runs",
        "made": time.strftime("%Y-%m-%d %H:%M"),
        "status": status_of(runs[0].status()) if len(runs) == 1 and runs[0].rows else None,
        "runs": [_run(place, run, lines[place]) for place, run in enumerate(runs)],
        "figures": [_figure(figure, runs, lines) for figure in figures],
        "scores": _scores(fine_tuned),
        "samples": [_samples(place, run) for place, run in enumerate(runs) if run.observations],
        "html": {
            "facts": _facts_table(runs),
            "values": _values_table([run for run in runs if run.rows], figures),
            "scores-table": _scores_table(runs, fine_tuned),
            "samples-text": _newest_sample(runs),
            "notes": _notes(runs, lines),
        },
    }


def status_of(status: Status) -> dict[str, Any]:
    """How a run stands, as JSON values."""
    return {"state": status.state, "words": status.words, "progress": status.progress}


def _run(place: int, run: Run, lines: Mapping[str, Line]) -> dict[str, Any]:
    return {
        "name": run.name,
        "light": LIGHT[place % len(LIGHT)],
        "dark": DARK[place % len(DARK)],
        "dash": DASHES[place % len(DASHES)],
        "marker": MARKERS[place % len(MARKERS)],
        "tokens_per_step": run.tokens_per_step,
        "lines": {
            key: {"x": line.steps, "y": [float(f"{value:.6g}") for value in line.values]}
            for key, line in lines.items()
            if line.values
        },
    }


def _figure(figure: Figure, runs: Sequence[Run], lines: Sequence[Mapping[str, Line]]) -> dict[str, Any]:
    logged = [run for run, its in zip(runs, lines, strict=True) if figure.key in its or f"eval_{figure.key}" in its]
    bands = [run.bands[figure.key] for run in logged if figure.key in run.bands]
    not_numbers = sum(
        its[key].not_numbers for its in lines for key in (figure.key, f"eval_{figure.key}") if key in its
    )
    caption = explain(figure, bands)
    if not_numbers:
        values = (
            "a logged value that is no number"
            if not_numbers == 1
            else f"{not_numbers:,} logged values that are no numbers"
        )
        caption += f" Not drawn: {values} (NaN or infinite)."
    return {
        "key": figure.key,
        "title": figure.title,
        "group": figure.group,
        "percent": figure.format.endswith("%"),
        "format": figure.format,
        "log": figure.logarithmic,
        "caption": caption.strip(),
        "bands": [
            {"low": band.low, "high": band.high, "words": f"long runs: {band_words(band, figure.format)}"}
            for band in dict.fromkeys(bands)
            if band.low is not None
        ],
        "references": _references(figure, logged, bands),
    }


def _references(figure: Figure, runs: Sequence[Run], bands: Sequence[Band]) -> list[dict[str, Any]]:
    """Lines at the scores of models that know little or nothing, and at thresholds."""
    lines = [(band.chance, "knowing nothing") for band in bands if band.chance is not None]
    if figure.key == "rtd_loss":
        shares = [value for run in runs for value in newest(run, "replaced_fraction")[::-1] if value is not None]
        if shares and 0 <= shares[0] <= 1:
            lines.append((binary_entropy(shares[0]), "knowing only how many"))
    lines += [(band.alarm_low, "something is wrong below") for band in bands if band.alarm_low is not None]
    lines += [(band.alarm_high, "something is wrong above") for band in bands if band.alarm_high is not None]
    return [{"value": value, "words": words} for value, words in dict.fromkeys(lines)]


def _scores(rows: Sequence[tuple[int, ScoreRow]]) -> list[dict[str, Any]]:
    """One entry for each task and metric, with the seeds of each run."""
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for place, row in rows:
        entry = entries.setdefault(
            (row.task, row.metric), {"title": f"{row.task}, {row.metric}", "decimals": row.decimals, "runs": []}
        )
        interval = [row.low, row.high] if row.low is not None and row.high is not None else row.examples
        entry["runs"].append(
            {"run": place, "values": row.values, "median": row.median, "interval": interval, "spread": row.spread}
        )
    return list(entries.values())


def is_byte_level(text: JudgedText) -> bool:
    """Whether the letters of a text's pieces stand for bytes; only then does one begin with `Ġ`."""
    return any(record.original.startswith("Ġ") for record in text.records)


def tokens_of(text: JudgedText) -> list[list[Any]]:
    """The tokens of one text as words: text, original (None unless it was replaced), suspicion (None where the model
    has learnt none), and whether a blank stands before.

    >>> from electra_hf.sharing.demo.records import TokenRecord
    >>> records = [TokenRecord("un", "un", False, 0.1, False), TokenRecord("##fit", "##do", True, 0.9, False)]
    >>> tokens_of(JudgedText(records, [False, True], cut=0))
    [['un', None, None, False], ['fit', 'do', 0.9, False]]
    """
    byte_level = is_byte_level(text)
    return [
        [
            readable(record.piece, byte_level=byte_level),
            readable(record.original, byte_level=byte_level) if record.replaced else None,
            record.suspicion if judged else None,
            number > 0 and not is_joined(record),
        ]
        for number, (record, judged) in enumerate(zip(text.records, text.judged, strict=True))
    ]


def _samples(place: int, run: Run) -> dict[str, Any]:
    observations = run.observations
    if len(observations) > MOST_OBSERVATIONS:
        last = len(observations) - 1
        kept = sorted({round(number * last / (MOST_OBSERVATIONS - 1)) for number in range(MOST_OBSERVATIONS)})
        observations = [observations[number] for number in kept]
    return {
        "run": place,
        "observations": [
            {"step": step, "texts": [{"tokens": tokens_of(text), "score": score([text])} for text in texts]}
            for step, texts in observations
        ],
    }


def _newest_sample(runs: Sequence[Run]) -> str:
    """The newest observation of the first run that has one, for readers without JavaScript."""
    run = next((run for run in runs if run.observations), None)
    if run is None:
        return ""
    step, texts = run.observations[-1]
    marked = [f"<li>{_marked(text)} <small>{escape(score([text]))}</small></li>" for text in texts]
    return f"<p>{escape(run.name)}, step {step:,}:</p><ol>{''.join(marked)}</ol>"


def _marked(judged: JudgedText) -> str:
    words = []
    for text, original, suspicion, blank in tokens_of(judged):
        word = escape(text)
        if original is not None:
            word = f"[<del>{escape(original)}</del>→<ins>{word}</ins>]"
        if suspicion is not None and suspicion >= SUSPECTED:
            word = f"<mark>{word}<sup>?{suspicion:.0%}</sup></mark>"
        words.append(f"{' ' if blank else ''}{word}")
    return "".join(words)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, above: str = "") -> str:
    """A table whose first column names the rows; `head`, cells and the row `above` the head are HTML."""
    first, *others = head
    top = f"<td>{first}</td>" + "".join(f'<th scope="col">{cell}</th>' for cell in others)
    body = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>' for name, *cells in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead>{above}<tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _facts_table(runs: Sequence[Run]) -> str:
    facts = [facts_of(run) for run in runs]
    names = dict.fromkeys(name for one in facts for name in one)
    if len(runs) == 1:
        items = "".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts[0].items()
        )
        return f"<dl>{items}</dl>"
    rows = [[escape(name), *(escape(one.get(name, _DASH)) for one in facts)] for name in names]
    return _table(["", *(escape(run.name) for run in runs)], rows, caption="What the runs are")


def _values_table(runs: Sequence[Run], figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    rows = []
    for figure, cells in values_of(runs, figures):
        shown = [
            f"{escape(value)}{f'<small>{escape(words)}</small>' if words and last else ''}"
            for training, held_out, words in cells
            for value, last in ((training, False), (held_out, True))
        ]
        rows.append([escape(figure.title), *shown])
    names = "".join(f'<th scope="colgroup" colspan="2">{escape(run.name)}</th>' for run in runs)
    above = f"<tr><td></td>{names}</tr>" if len(runs) > 1 else ""
    return _table(["", *["training", "held-out"] * len(runs)], rows, caption="Newest values", above=above)


def _scores_table(runs: Sequence[Run], rows: Sequence[tuple[int, ScoreRow]]) -> str:
    if not rows:
        return ""
    cells = [
        [escape(f"{row.task}, {row.metric}"), escape(runs[place].name)]
        + [escape(text) for text in (row.number(row.median), row.spread, row.interval, str(len(row.values)))]
        for place, row in sorted(rows, key=lambda item: (item[1].task, item[1].metric, item[0]))
    ]
    head = ["", "model", "median", "mean ± std", "95 % interval", "seeds"]
    return _table(head, cells, caption="Scores after fine-tuning")


def _notes(runs: Sequence[Run], lines: Sequence[Mapping[str, Line]]) -> str:
    notes, unknown = [], []
    for run, its in zip(runs, lines, strict=True):
        logged = max((line.logged for line in its.values()), default=0)
        if logged > MOST_POINTS:
            notes.append(
                f"{run.name}: of {logged:,} logged rows at most {MOST_POINTS:,} points are drawn in a line: the "
                "smallest and largest of each stretch, so that no jump is lost."
            )
        if len(run.observations) > MOST_OBSERVATIONS:
            notes.append(f"{run.name}: {MOST_OBSERVATIONS} of {len(run.observations):,} observations of its texts.")
        if its and run.tokens_per_step is None:
            unknown.append(run.name)
    if unknown:
        notes.append(f"By steps only, as no run_info.json tells the tokens of a step: {', '.join(unknown)}.")
    return "".join(f"<p>{escape(note)}</p>" for note in notes)
