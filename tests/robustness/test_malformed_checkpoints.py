"""Models that are none: damaged weights, configurations that do not fit, code and pickles that must not be run."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from malformed import Cases, Kit, Maker, check, options, run
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"


class Payload:
    """What a pickle of somebody else may do when it is loaded."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def changed(change: Callable[[Path], None], part: str = ".") -> Maker:
    """A model of which one thing was changed: `--model_name_or_path`."""

    def make(folder: Path, kit: Kit):
        shutil.copytree(kit.model, folder / "model")
        change(folder / "model" / part)
        return ("--model_name_or_path", folder / "model")

    return make


def file(name: str, content: str | bytes) -> Callable[[Path], None]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data) and None


def without(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: file(name, (folder / name).read_bytes()[:size])(folder)


def config(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tree = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**tree, **values}))

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})

    return edit


def without_a_layer(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["electra.encoder.layer.0.output.dense.weight"]


def with_another_shape(tensors: dict[str, torch.Tensor]) -> None:
    tensors["electra.encoder.layer.0.output.dense.weight"] = torch.zeros(3, 3)


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(folder / "executed")))


def pickled_by_torch(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    torch.save({"electra.x": Payload(folder / "executed")}, folder / "pytorch_model.bin")


def renamed(folder: Path) -> None:
    """A pickle that calls itself safetensors."""
    (folder / WEIGHTS).write_bytes(pickle.dumps(Payload(folder / "executed")))


def with_code(folder: Path) -> None:
    config(model_type="mine", auto_map={"AutoConfig": "mine.Config", "AutoModel": "mine.Model"})(folder)
    (folder / "mine.py").write_text("import pathlib\npathlib.Path(__file__).with_name('executed').touch()\n")


def with_code_beside(folder: Path) -> None:
    config(auto_map={"AutoConfig": "mine.Config", "AutoModelForPreTraining": "mine.Model"}, hidden_size="x")(folder)
    (folder / "mine.py").write_text("import pathlib\npathlib.Path(__file__).with_name('executed').touch()\n")


def shards_that_are_gone(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": {"electra.x": "model-00001-of-00002.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))


def shards_outside(folder: Path) -> None:
    shards_that_are_gone(folder)
    index = {"metadata": {"total_size": 1}, "weight_map": {"electra.x": "../../secret.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))


def empty_folder(folder: Path, _: Kit):
    (folder / "model").mkdir()
    return ("--model_name_or_path", folder / "model")


def a_file(folder: Path, _: Kit):
    (folder / "model").write_text("w1")
    return ("--model_name_or_path", folder / "model")


NAN = float("nan")
BOTH: Cases = {
    "nowhere": (options("--model_name_or_path", "./no/such/model"), 1, ("no/such/model",)),
    "no such name": (options("--model_name_or_path", "nobody/nothing"), 1, ("nobody/nothing",)),
    "an odd name": (options("--model_name_or_path", "a b/c?d"), 1, ("a b/c?d",)),
    "empty folder": (empty_folder, 1, ("given/model",)),
    "a file": (a_file, 1, ("given/model",)),
    "no configuration": (changed(without("config.json")), 1, ("given/model",)),
    "empty configuration": (changed(file("config.json", "")), 1, ("given/model", "config.json")),
    "cut configuration": (changed(cut("config.json", 90)), 1, ("given/model", "config.json")),
    "a list of a configuration": (changed(file("config.json", "[]")), 1, ("given/model",)),
    "an object of a configuration": (changed(file("config.json", "{}")), 1, ("given/model",)),
    "a binary configuration": (changed(file("config.json", bytes(range(256)))), 1, ("given/model",)),
    "unknown kind": (changed(config(model_type="velocipede")), 1, ("given/model", "velocipede")),
    "words for a size": (changed(config(hidden_size="wide")), 1, ("given/model", "hidden_size")),
    "no number of a size": (changed(config(hidden_size=NAN)), 1, ("given/model", "hidden_size")),
    "a size below 0": (changed(config(hidden_size=-16)), 1, ("given/model",)),
    "a size of 0": (changed(config(num_attention_heads=0)), 1, ("given/model",)),
    "heads that do not divide": (changed(config(num_attention_heads=3)), 1, ("given/model", "heads")),
    "other sizes": (changed(config(hidden_size=32)), 1, ("given/model",)),
    "unknown activation": (changed(config(hidden_act="magic")), 1, ("given/model", "magic")),
    "another vocabulary size": (changed(config(vocab_size=99)), 1, ("given/model", "word_embeddings")),
    "no weights": (changed(without(WEIGHTS)), 1, ("given/model", WEIGHTS)),
    "empty weights": (changed(file(WEIGHTS, b"")), 1, ("given/model",)),
    "cut weights": (changed(cut(WEIGHTS, 2000)), 1, ("given/model",)),
    "a cut header": (changed(cut(WEIGHTS, 6)), 1, ("given/model",)),
    "text for weights": (changed(file(WEIGHTS, "version https://git-lfs.github.com/spec/v1\n")), 1, ("given/model",)),
    "a layer is missing": (changed(weights(without_a_layer)), 1, ("given/model", "layer.0.output.dense.weight")),
    "a layer of another shape": (changed(weights(with_another_shape)), 1, ("given/model", "layer.0.output.dense")),
    "no weights in it": (changed(weights(dict.clear)), 1, ("given/model",)),
    "missing shards": (changed(shards_that_are_gone), 1, ("given/model",)),
    "shards outside": (changed(shards_outside), 1, ("given/model",)),
    "a pickle": (changed(pickled), 1, ("given/model",)),
    "a pickle of torch": (changed(pickled_by_torch), 1, ("given/model",)),
    "a pickle under another name": (changed(renamed), 1, ("given/model",)),
    "code of its own": (changed(with_code), 1, ("given/model",)),
    "code beside": (changed(with_code_beside), 1, ("given/model", "hidden_size")),
}
PRETRAINING: Cases = {
    "another architecture": (changed(config(model_type="bert")), 1, ("given/model",)),
    "a generator cut short": (changed(cut(WEIGHTS, 900), "generator"), 1, ("given/model/generator",)),
    "a generator without weights": (changed(without(WEIGHTS), "generator"), 1, ("given/model/generator",)),
    "a broken generator": (changed(file("config.json", "{"), "generator"), 1, ("given/model/generator",)),
    "a broken objective": (changed(file("objective.json", "{")), 1, ("objective.json",)),
    "a list of an objective": (changed(file("objective.json", "[1]")), 1, ("objective.json",)),
    "an unknown objective": (changed(file("objective.json", '{"magic": 1}')), 1, ("objective.json", "magic")),
    "a wrong objective": (changed(file("objective.json", '{"sampler": "magic"}')), 1, ("objective.json", "magic")),
    "a weight of words": (changed(file("objective.json", '{"generator_weight": "x"}')), 1, ("objective.json",)),
    "generator nowhere": (options("--generator_name_or_path", "./nowhere"), 1, ("./nowhere",)),
}
FRESH = ("--model_name_or_path", "", "--tokenizer_name")


def fresh(*more: object) -> Maker:
    """A fresh model instead of the loaded one; an empty name is none."""
    return lambda _, kit: (*FRESH, kit.tokenizer, *more)


SIZES: Cases = {
    "heads that do not divide": (fresh("--config_overrides", "hidden_size=30,num_attention_heads=4"), 2, ("heads",)),
    "a size of 0": (fresh("--config_overrides", "hidden_size=0"), 2, ("hidden_size",)),
    "a size below 0": (fresh("--config_overrides", "num_hidden_layers=-1"), 2, ("num_hidden_layers",)),
    "a size of words": (fresh("--config_overrides", "hidden_size=wide"), 2, ("hidden_size", "wide")),
    "dropout of 2": (fresh("--config_overrides", "hidden_dropout_prob=2"), 2, ("hidden_dropout_prob",)),
    "dropout nan": (fresh("--config_overrides", "hidden_dropout_prob=nan"), 2, ("hidden_dropout_prob",)),
    "no such activation": (fresh("--config_overrides", "hidden_act=magic"), 2, ("hidden_act", "magic")),
    "no such field": (fresh("--config_overrides", "depth=3"), 2, ("depth", "field=value")),
    "no field": (fresh("--config_overrides", "=3"), 2, ("config_overrides",)),
    "another vocabulary": (fresh("--config_overrides", "vocab_size=9"), 2, ("vocab_size 9", "tokenizer")),
    "more than the memory": (fresh("--config_overrides", f"hidden_size={2**40}"), 1, ("memory",)),
    "a generator of nothing": (fresh("--generator_width", 0), 2, ("generator_width is 0",)),
    "a generator that is wider": (fresh("--generator_width", 3), 2, ("generator_width is 3",)),
    "a width nan": (fresh("--generator_width", "nan"), 2, ("generator_width is nan",)),
    "generator's own embeddings": (
        fresh("--generator_config_overrides", "embedding_size=7"),
        2,
        ("embedding_size",),
    ),
    "no such configuration": (fresh("--config_name", "./nowhere"), 1, ("./nowhere",)),
}


def checkpoint(change: Callable[[Path], None] | None = None) -> Maker:
    """A run's checkpoint 2, with a change: `--resume_from_checkpoint`."""

    def make(folder: Path, kit: Kit):
        place = folder / "checkpoint-2"
        shutil.copytree(kit.run / "checkpoint-2", place)
        if change:
            change(place)
        return ("--max_steps", 3, "--resume_from_checkpoint", place)

    return make


def pickled_state(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(pickle.dumps(Payload(folder / "executed"))) and None


RESUMED: Cases = {
    "nowhere": (options("--resume_from_checkpoint", "./nowhere"), 1, ()),
    "no state": (checkpoint(without("trainer_state.json")), 1, ()),
    "a broken state": (checkpoint(file("trainer_state.json", "{")), 1, ()),
    "no configuration": (checkpoint(without("config.json")), 1, ()),
    "no weights": (checkpoint(without(WEIGHTS)), 1, ()),
    "cut weights": (checkpoint(cut(WEIGHTS, 900)), 1, ()),
    "text for weights": (checkpoint(file(WEIGHTS, "w1")), 1, ()),
    "a cut optimiser": (checkpoint(cut("optimizer.pt", 900)), 1, ()),
    "a pickle for the optimiser": (checkpoint(pickled_state("optimizer.pt")), 1, ()),
    "a pickle for the generators": (checkpoint(pickled_state("rng_state.pth")), 1, ()),
    "a pickle for the schedule": (checkpoint(pickled_state("scheduler.pt")), 1, ()),
}


def check_safely(program: str, sound, case, kit: Kit, folder: Path) -> None:
    """What `check` does; and no code of the model was run."""
    check(program, sound, case, kit, folder)
    assert not list(folder.rglob("executed"))


@pytest.mark.parametrize("name", [*BOTH, *PRETRAINING])
def test_a_malformed_model_to_go_on_with(name: str, sound_pretraining, kit: Kit, tmp_path: Path):
    check_safely("run_pretraining", sound_pretraining, {**BOTH, **PRETRAINING}[name], kit, tmp_path)


@pytest.mark.parametrize("name", BOTH)
def test_a_malformed_model_to_fine_tune(name: str, sound_glue, kit: Kit, tmp_path: Path):
    check_safely("run_glue", sound_glue, BOTH[name], kit, tmp_path)


@pytest.mark.parametrize("name", SIZES)
def test_sizes_that_cannot_be(name: str, sound_pretraining, kit: Kit, tmp_path: Path):
    check("run_pretraining", sound_pretraining, SIZES[name], kit, tmp_path)


@pytest.mark.parametrize("name", RESUMED)
def test_a_malformed_checkpoint_to_resume_from(name: str, sound_pretraining, kit: Kit, tmp_path: Path):
    make, code, _ = RESUMED[name]
    (tmp_path / "given").mkdir()
    ended = run("run_pretraining", *sound_pretraining, *make(tmp_path / "given", kit))
    assert ended.code == code and ended.message and "Traceback" not in ended.stderr, ended.stderr
    assert not list(tmp_path.rglob("executed"))
