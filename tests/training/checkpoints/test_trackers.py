"""What trackers get of a run, read back by their own readers: names in groups, all values, one run after a resume."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerCallback

from electra_hf.errors import UsageError
from electra_hf.training import PretrainingArguments
from electra_hf.training.trackers import Wandb, tracker_name, trackers_among, use_trackers

NAMES = {
    "train/loss", "train/generator/loss", "train/generator/accuracy", "train/generator/replaced_fraction",
    "train/discriminator/loss", "train/discriminator/auc", "train/discriminator/precision",
    "train/discriminator/recall", "speed/tokens_per_second", "speed/teraflops", "speed/remaining_seconds",
    "schedule/learning_rate", "schedule/epoch", "optimizer/grad_norm",
    "eval/loss", "eval/generator/loss", "eval/discriminator/auc", "eval/speed/runtime", "run/loss", "run/runtime",
}  # fmt: skip


@pytest.fixture
def run(make_trainer, tmp_path):
    """Train with a tracker: whole, or stopped after step 3 of 4 and resumed from step 2, and then evaluate."""

    class StopAt(TrainerCallback):
        def __init__(self, step: int):
            self.step = step

        def on_step_begin(self, args, state, control, **_):
            if state.global_step == self.step:
                raise InterruptedError

    class Texts(TrainerCallback):
        trainer: Any

        def on_step_end(self, args, state, control, **_):
            for tracker in trackers_among(self.trainer.callback_handler.callbacks):
                tracker.log_texts(
                    state.global_step, f"**step** {state.global_step}", f"<b>step</b> {state.global_step}"
                )

    def make(*trackers: str, resumed: bool = False, **options: Any) -> Any:
        texts = Texts()

        def trainer(*callbacks):
            made = make_trainer(
                tmp_path / "run", report_to=list(trackers), eval_strategy="steps", eval_steps=2,
                callbacks=[*callbacks, texts], **options,
            )  # fmt: skip
            texts.trainer = made
            return made

        if resumed:
            with pytest.raises(InterruptedError):
                trainer(StopAt(3)).train()
            if "mlflow" in trackers:
                sys.modules["mlflow"].end_run("KILLED")  # which the end of a process does
        made = trainer()
        made.train(resume_from_checkpoint=resumed or None)
        made.evaluate()
        return made

    return make


def expected(trainer) -> dict[str, dict[int, float]]:
    values: dict[str, dict[int, float]] = {}
    for row in trainer.state.log_history:
        for key, value in row.items():
            if key != "step":
                values.setdefault(tracker_name(key), {})[row["step"]] = value
    return values


def assert_same(found: dict[str, dict[int, float]], trainer) -> None:
    # What depends on the clock was logged by another process before the resume.
    for name, values in expected(trainer).items():
        assert sorted(found[name]) == sorted(values), name
        if not name.startswith(("speed", "run", "eval/speed")):
            assert list(dict(sorted(found[name].items())).values()) == pytest.approx(
                list(dict(sorted(values.items())).values()), rel=1e-6, nan_ok=True
            ), name
    assert found.keys() >= NAMES


@pytest.mark.parametrize("resumed", [False, True])
def test_tensorboard(resumed, run, tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer = run("tensorboard", resumed=resumed)
    (folder,) = (tmp_path / "run" / "runs").iterdir()
    events = accumulators.EventAccumulator(str(folder), {"tensors": 0, "scalars": 0})
    events.Reload()
    scalars = {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}
    assert_same(scalars, trainer)
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]  # none twice
    texts = {event.step: event.tensor_proto.string_val[0] for event in events.Tensors("text_samples/text_summary")}
    assert texts == {step: f"**step** {step}".encode() for step in (1, 2, 3, 4)}
    assert b'"learning_rate"' in events.Tensors("args/text_summary")[0].tensor_proto.string_val[0]
    assert len(events.Tensors("args/text_summary")) == 1


@pytest.fixture
def mlflow_store(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    uri = (tmp_path / "store").as_uri()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield mlflow
    mlflow.set_tracking_uri(before)


@pytest.mark.parametrize("resumed", [False, True])
def test_mlflow(resumed, run, mlflow_store, tmp_path):
    trainer = run("mlflow", resumed=resumed)
    client = mlflow_store.MlflowClient()
    (found,) = client.search_runs(["0"])  # one, the last evaluation included
    assert found.info.status == "FINISHED"
    histories = {name: client.get_metric_history(found.info.run_id, name) for name in found.data.metrics}
    assert_same({name: {each.step: each.value for each in rows} for name, rows in histories.items()}, trainer)
    assert found.data.params["learning_rate"] == "0.0005" and found.data.params["objective"] == "rtd"
    files = [file.path for file in client.list_artifacts(found.info.run_id, "text_samples")]
    assert files == [f"text_samples/step-{step:08d}.html" for step in (1, 2, 3, 4)]
    path = Path(client.download_artifacts(found.info.run_id, files[-1], str(tmp_path)))
    assert path.read_text() == "<b>step</b> 4"


def test_a_store_that_mlflow_refuses_is_told_before_the_first_step(run, mlflow_store, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "false")
    with pytest.raises(UsageError, match=r"--report_to mlflow: .*maintenance.*MLFLOW_ALLOW_FILE_STORE=true"):
        run("mlflow")


def test_trackio(run, tmp_path, monkeypatch):
    if "trackio" in sys.modules:
        pytest.skip("trackio has chosen its folder when it was imported")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    trainer = run("trackio", resumed=True, project="encoders")
    storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    (name,) = storage.get_runs("encoders")  # one, the last evaluation included
    rows = storage.get_logs("encoders", name)
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        for key in row.keys() - {"step", "timestamp", "text_samples"}:
            # It writes NaN as a word.
            found.setdefault(key, {})[row["step"]] = float(row[key])
    assert_same(found, trainer)
    texts = {row["step"]: row["text_samples"]["_value"] for row in rows if "text_samples" in row}
    assert texts == {step: f"**step** {step}" for step in (1, 2, 3, 4)}


def test_what_is_not_installed_is_refused_with_the_way_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "electra_hf.training.training_arguments.get_available_reporting_integrations", lambda: ["tensorboard"]
    )
    for tracker, package in (("mlflow", "'electra_hf[trackers]'"), ("wandb", "wandb"), ("comet_ml", "comet-ml")):
        with pytest.raises(UsageError, match="found here: tensorboard") as refused:
            PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[tracker])
        assert str(refused.value).endswith(f"try pip install {package}")


def test_several_trackers_in_one_word(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "electra_hf.training.training_arguments.get_available_reporting_integrations",
        lambda: ["tensorboard", "mlflow"],
    )
    args = PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="tensorboard, mlflow")
    assert args.report_to == ["tensorboard", "mlflow"]
    assert PretrainingArguments(output_dir=str(tmp_path), use_cpu=True).report_to == []


def test_wandb_gets_the_same_names(monkeypatch, tmp_path):
    """Against a recorder, since Weights & Biases is no dependency: only that we call it as its documentation says."""
    logged: list[dict] = []
    recorder = SimpleNamespace(log=logged.append, Html=lambda text: ("html", text))
    wandb = Wandb.__new__(Wandb)
    wandb._wandb, wandb._initialized = recorder, True  # pyright: ignore[reportAttributeAccessIssue]
    state = SimpleNamespace(is_world_process_zero=True, global_step=7)
    wandb.on_log(None, state, None, logs={"rtd_auc": 0.7, "train_runtime": 3.0})
    wandb.log_texts(7, "text", "<b>text</b>")
    assert logged == [
        {"train/discriminator/auc": 0.7, "run/runtime": 3.0, "train/global_step": 7},
        {"text_samples": ("html", "<b>text</b>"), "train/global_step": 7},
    ]


def test_other_callbacks_stay():
    callbacks: list[Any] = [TrainerCallback()]
    before = list(callbacks)
    use_trackers(callbacks)
    assert callbacks == before and trackers_among(callbacks) == []


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("mlm_accuracy", "train/masked_lm/accuracy"),
        ("main_mlm_loss", "train/encoder/loss"),
        ("eval_replaced_copy_probability", "eval/encoder/replaced_copy_probability"),
        ("nce_auc", "train/energies/auc"),
        ("sop_loss", "train/pairs/sop_loss"),
        ("generator_grad_norm", "optimizer/generator_grad_norm"),
        ("gumbel_temperature", "schedule/gumbel_temperature"),
        ("eval_samples_per_second", "eval/speed/samples_per_second"),
        ("eval_matthews_correlation", "eval/matthews_correlation"),
        ("test_f1", "test/f1"),
        ("total_flos", "run/total_flos"),
        ("train_samples_per_second", "run/samples_per_second"),
    ],
)
def test_names(key, name):
    assert tracker_name(key) == name
