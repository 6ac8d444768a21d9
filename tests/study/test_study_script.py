"""`electra-hf study` from end to end: it runs, keeps what is done, goes on with the rest, and says what failed."""

import json
import shutil

import pytest
from tiny_study import write

from electra_hf.cli.study import run
from electra_hf.errors import TrainingError, UsageError


def read(folder, name="study.json"):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_a_study(study, files, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "out"
    command = [str(write(tmp_path, study)), "--output_dir", str(folder), "--jobs", "2"]

    run([*command, "--dry_run"])
    said = capsys.readouterr().out
    assert "| narrow | 2,848 |" in said and "5 jobs, 0 of them done; 4 fine-tunings" in said
    assert not folder.exists()

    run(command)
    found = read(folder)
    narrow, wide = found["models"]
    assert narrow["steps"] > wide["steps"] > 1
    for model in (narrow, wide):
        assert model["flops"] == model["planned_flops"] <= 2e7
        assert model["notes"] == [] and model["tokens"] == model["steps"] * 128
        assert {"eval_rtd_auc", "eval_generator_accuracy"} <= model["metrics"].keys()
        assert model["tasks"]["films"]["seeds"] == [42, 43]
        scores = read(folder / "finetuning" / model["name"] / "films", "eval_results.json")
        assert model["tasks"]["films"]["values"] == scores["eval_accuracy"]["values"]
    (row,) = found["comparison"]["rows"]
    assert (row["task"], row["comparisons"][1]["n"]) == ("films", 2)
    assert (folder / "study.png").stat().st_size > 10_000
    table = (folder / "study.md").read_text(encoding="utf-8")
    assert f"| wide | 2,848 | {wide['parameters']:,} | {wide['steps']} |" in table and "Against narrow" in table
    assert str(folder) in capsys.readouterr().out

    # What is lost is made again, and nothing else; a task that cannot be read fails alone.
    shutil.rmtree(folder / "finetuning" / "wide" / "films" / "seed-43")
    (folder / "jobs" / "finetuning" / "wide" / "films.json").unlink()
    seed = folder / "finetuning" / "wide" / "films" / "seed-42" / "results.json"
    kept = seed.stat().st_mtime_ns
    (tmp_path / "broken.csv").write_text("text\nno label\n", encoding="utf-8")
    study["finetuning"].append({"name": "broken", "train_file": str(tmp_path / "broken.csv"), "num_seeds": 1})
    study["runs"] = {"wide": study["runs"]["wide"]}
    write(tmp_path, study)
    with pytest.raises(TrainingError, match=r"1 of 3 jobs failed \(finetuning/wide/broken\)"):
        run(command)
    assert "started" in capsys.readouterr().out
    (again,) = read(folder)["models"]
    assert again["tasks"]["films"]["values"] == wide["tasks"]["films"]["values"]
    assert seed.stat().st_mtime_ns == kept
    assert again["seconds"] == wide["seconds"]
    assert "label" in " ".join(again["tasks"]["broken"]["log"])
    assert "## wide, broken failed" in (folder / "study.md").read_text(encoding="utf-8")

    study["common"]["learning_rate"] = 1e-5
    write(tmp_path, study)
    with pytest.raises(UsageError, match=r"pretraining/wide with other options \(learning_rate was None and is 1e-05"):
        run(command)
