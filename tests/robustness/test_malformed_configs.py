"""Configuration files that are none, or that ask for what cannot be."""

import os
from pathlib import Path

import pytest
from malformed import Cases, Kit, check, write

BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def config(content: str | bytes, name: str = "recipe.yaml"):
    return write(name, content, "--config")


def nowhere(folder: Path, _: Kit):
    return ("--config", folder / "nowhere.yaml")


def a_folder(folder: Path, _: Kit):
    (folder / "recipe.yaml").mkdir()
    return ("--config", folder / "recipe.yaml")


def a_circle(folder: Path, _: Kit):
    (folder / "recipe.yaml").symlink_to(folder / "recipe.yaml")
    return ("--config", folder / "recipe.yaml")


HERE = "recipe.yaml"
CASES: Cases = {
    "missing": (nowhere, 2, ("nowhere.yaml", "No such file")),
    "a folder": (a_folder, 2, (HERE, "directory")),
    "a link to itself": (a_circle, 2, (HERE, "symbolic links")),
    "empty": (config(""), 2, (HERE, "empty", "name: value")),
    "only a comment": (config("# learning_rate: 1\n"), 2, (HERE, "empty", "name: value")),
    "words": (config("learning rate of one"), 2, (HERE, "holds a str", "name: value")),
    "a list": (config("- learning_rate\n- 1\n"), 2, (HERE, "holds a list", "name: value")),
    "a number": (config("5"), 2, (HERE, "holds a int", "name: value")),
    "truncated list": (config("train_file: [a, b"), 2, (HERE, "not valid YAML", "line 1")),
    "truncated string": (config('train_file: "a'), 2, (HERE, "not valid YAML", "line 1")),
    "tab": (config("config_overrides:\n\thidden_size: 3\n"), 2, (HERE, "not valid YAML", "line 2")),
    "colons": (config("learning_rate: 1: 2\n"), 2, (HERE, "not valid YAML", "line 1")),
    "equal keys": (config("seed: 1\nseed: 2\n"), 2, (HERE, "'seed' is given twice", "line 2")),
    "equal keys inside": (config("config_overrides: {hidden_size: 1, hidden_size: 2}\n"), 2, ("given twice",)),
    "two documents": (config("seed: 1\n---\nseed: 2\n"), 2, (HERE, "not valid YAML")),
    "a Python object": (config("seed: !!python/object/apply:os.system ['true']\n"), 2, (HERE, "not valid YAML")),
    "an unknown tag": (config("seed: !number 3\n"), 2, (HERE, "not valid YAML", "!number")),
    "an unknown anchor": (config("seed: *seven\n"), 2, (HERE, "not valid YAML", "seven")),
    "a bomb of anchors": (config(BOMB), 2, (HERE, "unknown key 'a'")),
    "a bomb for an option": (config(BOMB.replace("i: &i", "seed: &i")), 2, (HERE, "unknown key 'a'")),
    "a map that holds itself": (config("lr_scheduler_kwargs: &a {power: *a}\n"), 2, (HERE, "lr_scheduler_kwargs")),
    "a list that holds itself": (config("train_file: &a [*a]\n"), 2, (HERE, "train_file")),
    "deep": (config("[" * 5000), 2, (HERE, "nested")),
    "a list as a key": (config("? [1, 2]\n: 3\n"), 2, (HERE, "a key is no plain value")),
    "a map as a key": (config("? {a: 1}\n: 3\n"), 2, (HERE, "not valid YAML")),
    "a number as a key": (config("3: 4\n"), 2, (HERE, "unknown key '3'")),
    "nothing as a key": (config("null: 4\n"), 2, (HERE, "unknown key")),
    "UTF-16": (config("seed: 1\n".encode("utf-16")), 2, (HERE, "UTF-8")),
    "Latin-1": (config("run_name: caf\xe9\n".encode("latin-1")), 2, (HERE, "UTF-8")),
    "binary": (config(bytes(range(256)) * 4), 2, (HERE, "UTF-8")),
    "NUL": (config("seed: 1\0\n"), 2, (HERE, "not valid YAML")),
    "a pickle": (config(b"\x80\x04\x8c\x05posix\x94."), 2, (HERE, "UTF-8")),
    "a wide mark": (config("\ufeffsead: 1\n"), 2, (HERE, "unknown key 'sead'", "did you mean 'seed'")),
    "unknown key": (config("lerning_rate: 1\n"), 2, (HERE, "'lerning_rate'", "did you mean 'learning_rate'")),
    "dashes": (config("--seed: 1\n"), 2, (HERE, "'--seed'", "did you mean 'seed'")),
    "an option of the command line": (config("config: other.yaml\n"), 2, (HERE, "unknown key 'config'")),
    "words for a number": (config("seed: many\n"), 2, (HERE, "seed", "'many'")),
    "a fraction for a number": (config("seed: 1.5\n"), 2, (HERE, "seed", "1.5")),
    "a list for a number": (config("seed: [1, 2]\n"), 2, (HERE, "seed", "not a list")),
    "a map for a number": (config("seed: {a: 1}\n"), 2, (HERE, "seed")),
    "a date for a number": (config("seed: 2026-01-01\n"), 2, (HERE, "seed", "2026")),
    "words for a truth": (config("fp16: perhaps\n"), 2, (HERE, "fp16", "perhaps")),
    "no choice": (config("packing: half\n"), 2, (HERE, "packing", "'half'")),
    "infinite size": (config("max_seq_length: .inf\n"), 2, (HERE, "max_seq_length")),
    "infinite rate": (config("learning_rate: .inf\n"), 2, ("--learning_rate inf",)),
    "rate that is no number": (config("learning_rate: .nan\n"), 2, ("--learning_rate nan",)),
    "no number of a weight": (config("discriminator_weight: .nan\n"), 2, ("--discriminator_weight nan",)),
    "a huge number": (config(f"seed: {10**30}\n"), 2, ("--seed 1000000", "to 4,294,967,295")),
    "a number of 5000 digits": (config(f"seed: {'9' * 5000}\n"), 2, (HERE,)),
    "an override without a field": (config("config_overrides: {depth: 3}\n"), 2, ("config_overrides",)),
    "a list for JSON": (config("lr_scheduler_kwargs: [1]\n"), 2, (HERE, "lr_scheduler_kwargs")),
    "a secret in a list": (config("hub_token: [hf_sesame]\n"), 2, (HERE, "hub_token")),
}


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_configuration_is_explained(name: str, sound_pretraining, kit: Kit, tmp_path: Path):
    check("run_pretraining", sound_pretraining, CASES[name], kit, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_configuration_without_permission(sound_pretraining, kit: Kit, tmp_path: Path):
    def locked(folder: Path, _: Kit):
        (folder / HERE).write_text("seed: 1\n")
        (folder / HERE).chmod(0)
        return ("--config", folder / HERE)

    check("run_pretraining", sound_pretraining, (locked, 2, (HERE, "permission denied")), kit, tmp_path)
