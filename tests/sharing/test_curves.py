"""The picture of a run: which rows it takes, that no panel is silently empty, and where the log is found."""

import json
import math
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from electra_hf.errors import CheckpointError
from electra_hf.sharing.curves import Series, binary_entropy, plot_training_curves
from electra_hf.sharing.logs import load_log_history

ROW = {
    "loss": 40.0,
    "generator_loss": 8.0,
    "rtd_loss": 0.6,
    "generator_accuracy": 0.1,
    "replaced_fraction": 0.12,
    "rtd_precision": 0.5,
    "rtd_recall": 0.2,
    "rtd_auc": 0.7,
    "learning_rate": 1e-4,
    "grad_norm": 2.0,
    "tokens_per_second": 1000.0,
}
HISTORY = [
    {"step": 10, **ROW},
    {"step": 20, **ROW, "loss": 30.0},
    {"step": 20, **{f"eval_{key}": value for key, value in ROW.items()}},
]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved, so that a test can look at what was drawn and not only at pixels."""
    saved: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (saved.append(self), save(self, *a, **k))[1])
    return saved


def texts(figure: Figure) -> str:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return "\n".join(found + [axes.get_title(loc="left") for axes in figure.axes])


def test_the_picture_is_a_png_of_readable_size(tmp_path: Path):
    path = plot_training_curves(HISTORY, tmp_path / "new" / "curves.png", title="run", vocab_size=30)
    assert path == tmp_path / "new" / "curves.png"
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width >= 1200


def test_masked_language_modelling_has_panels_of_its_own(tmp_path: Path, figures: list[Figure]):
    masks = {"loss": 8.0, "mlm_loss": 7.3, "mlm_accuracy": 0.1, "learning_rate": 1e-4}
    pairs = {"sop_loss": 0.7, "sop_accuracy": 0.5}
    for row in (masks, masks | pairs):
        plot_training_curves([{"step": 10, **row}], tmp_path / "c.png", title="run", vocab_size=30)
    without, with_pairs = map(texts, figures)
    assert "Masked-token loss" in without and "not logged" not in without and "segments" not in without
    assert "Order of two segments: accuracy" in with_pairs and "not logged" not in with_pairs
    assert "Discriminator" not in without + with_pairs


def test_training_is_a_line_and_evaluation_is_points(tmp_path: Path, figures: list[Figure]):
    plot_training_curves(HISTORY, tmp_path / "c.png", title="run", vocab_size=30)
    line, points = figures[0].axes[0].lines
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([10, 20], [40.0, 30.0])
    assert (list(points.get_xdata()), list(points.get_ydata())) == ([20], [40.0])
    assert line.get_linestyle() == "-"
    assert points.get_linestyle() == "None"


def test_the_scores_of_knowing_nothing_are_drawn_at_their_values(tmp_path: Path, figures: list[Figure]):
    plot_training_curves(HISTORY, tmp_path / "c.png", title="run", vocab_size=30522)
    _, generator, discriminator = figures[0].axes[:3]
    assert math.log(30522) in [line.get_ydata()[0] for line in generator.lines]
    assert math.log(2) in [line.get_ydata()[0] for line in discriminator.lines]
    assert "30,522" in texts(figures[0])
    assert generator.get_ylim()[1] > math.log(30522)


def test_without_a_vocabulary_size_that_line_is_left_out(tmp_path: Path, figures: list[Figure]):
    plot_training_curves(HISTORY, tmp_path / "c.png", title="run", vocab_size=None)
    assert "ln V" not in texts(figures[0])


@pytest.mark.parametrize("history", [[], HISTORY[:1], [{"step": 3, "loss": 1.0}], [{"step": 3, "eval_loss": 1.0}]])
def test_few_rows_and_missing_keys_are_drawn_or_named(history: list, tmp_path: Path, figures: list[Figure]):
    plot_training_curves(history, tmp_path / "c.png", title="run", vocab_size=30)
    for axes in figures[0].axes:
        assert axes.has_data() or "not logged in this run" in "".join(text.get_text() for text in axes.texts)


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (("mlm_loss", "mlm_accuracy"), ["Masked-token loss", "Accuracy at the masks"]),
        (("nce_loss",), ["Discriminator: loss of noise or text"]),
        (("mlm_loss", "sop_loss"), ["Masked-token loss", "Order of two segments: loss"]),
        (("eval_copy_probability",), ["Main encoder: probability of copying"]),
    ],
)
def test_the_panels_are_those_of_what_was_logged(metrics, expected, tmp_path: Path, figures: list[Figure]):
    rows = [{"step": step, "loss": 2.0, **dict.fromkeys(metrics, 0.5)} for step in (1, 2)]
    plot_training_curves(rows, tmp_path / "c.png", title="run", vocab_size=30)
    titles = [axes.get_title(loc="left") for axes in figures[0].axes]
    assert titles == ["Total loss", *expected, "Learning rate"]


def test_the_speed_takes_the_place_of_a_missing_gradient_norm(tmp_path: Path, figures: list[Figure]):
    rows = [{key: value for key, value in row.items() if key != "grad_norm"} for row in HISTORY]
    plot_training_curves(rows, tmp_path / "c.png", title="run", vocab_size=None)
    assert "Learning rate and tokens per second" in texts(figures[0])


def test_values_that_are_no_numbers_are_left_out():
    rows = [{"step": 1, "loss": math.nan}, {"step": 2, "loss": 1.0}, {"step": 3, "loss": None}, {"loss": 2.0}]
    assert Series.of(rows, "loss") == Series([2.0], [1.0])


def test_binary_entropy_is_the_loss_of_answering_the_base_rate():
    assert binary_entropy(0.15) == pytest.approx(-(0.15 * math.log(0.15) + 0.85 * math.log(0.85)))
    assert binary_entropy(1.0) == 0.0


def write_state(folder: Path, step: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": [{"step": step}]}), encoding="utf-8")


def test_the_log_of_an_unfinished_run_is_that_of_its_newest_checkpoint(tmp_path: Path):
    for step in (90, 100, 20):  # by number: as words, checkpoint-90 would come last
        write_state(tmp_path / f"checkpoint-{step}", step)
    (tmp_path / "checkpoint-200").mkdir()  # interrupted before its state was written
    (tmp_path / "checkpoint-best").mkdir()
    assert load_log_history(tmp_path) == [{"step": 100}]
    write_state(tmp_path, 5)
    assert load_log_history(tmp_path) == [{"step": 5}]


def test_a_folder_without_a_log_is_named(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"no trainer_state\.json"):
        load_log_history(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"log_history": 3}'])
def test_a_broken_state_file_is_named(content: str, tmp_path: Path):
    (tmp_path / "trainer_state.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match="trainer_state.json"):
        load_log_history(tmp_path)
