"""What a study's file may say, and how it is refused."""

import pytest
from tiny_study import write

from electra_hf.errors import UsageError
from electra_hf.study.definition import Budget, read_study


def test_the_file_is_read(study, tmp_path):
    study["runs"]["wide"]["config_overrides"] = {"hidden_size": 32}
    study["runs"]["long"] = {"budget_factor": 2}
    study["baselines"] = {"fresh": {"run": "narrow", "random_initialization": True}}
    study["finetuning"] += [{"task_name": "cola,rte", "num_seeds": 5, "score": "accuracy"}]
    found = read_study(write(tmp_path, study))
    assert found.budget == Budget("flops", 2e7)
    assert [run.name for run in found.runs] == ["narrow", "wide", "long"]
    narrow, wide, long = (run.options for run in found.runs)
    assert narrow["config_overrides"]["hidden_size"] == 16
    assert wide["config_overrides"] == narrow["config_overrides"] | {"hidden_size": 32}
    assert "generator_width" not in long and found.runs[2].budget_factor == 2
    assert [(task.name, task.options["num_seeds"], task.score) for task in found.tasks] == [
        ("films", 2, None),
        ("cola", 5, "accuracy"),
        ("rte", 5, "accuracy"),
    ]
    assert (found.baselines[0].run, found.baselines[0].options) == ("narrow", {"random_initialization": True})


def test_a_run_takes_away_what_is_common(study, tmp_path):
    study["runs"]["narrow"]["config_overrides"] = {"embedding_size": None}
    study["runs"]["narrow"]["do_eval"] = None
    run = read_study(write(tmp_path, study)).runs[0]
    assert "embedding_size" not in run.options["config_overrides"]
    assert "do_eval" not in run.options


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"runs": {"one": {"generator_widht": 0.5}}}, ["runs: one", "'generator_widht'", "'generator_width'"]),
        ({"common": {"learning_rat": 1}}, ["common", "'learning_rat'", "'learning_rate'"]),
        ({"runs": {"one": {"learning_rate": "fast"}}}, ["runs: one", "learning_rate", "fast"]),
        ({"runs": {"one": {"mlm_probability": 2}}}, ["runs: one", "mlm_probability"]),
        ({"runs": {}}, ["runs", "a map is expected"]),
        ({"runs": {"a/b": {}}}, ["'a/b'", "name of a folder"]),
        ({"runs": {"one": {"max_steps": 5}}}, ["runs: one: max_steps", "same `budget`"]),
        ({"runs": {"one": {"train_file": ["x"]}}}, ["runs: one: train_file", "`corpus`"]),
        ({"runs": {"one": {"output_dir": "x"}}}, ["runs: one: output_dir", "the study decides"]),
        ({"runs": {"one": {"hpo": "optuna"}}}, ["runs: one: hpo", "search"]),
        ({"runs": {"one": {"length_warmup_steps": 4}}}, ["runs: one: length_warmup_steps", "budget in flops"]),
        ({"budget": {"steps": 10, "tokens": 1e6}}, ["budget: steps and tokens", "give one of"]),
        ({"budget": {"hours": 1}}, ["budget", "'hours'", "seconds"]),
        ({"budget": {"steps": -1}}, ["budget: steps", "-1"]),
        ({"corpus": {"tokenizer_name": "x"}}, ["corpus: no text"]),
        ({"corpus": {"train_file": ["x"]}}, ["corpus", "tokenizer_name", "train_tokenizer"]),
        ({"corpus": {"train_file": ["x"], "learning_rate": 1}}, ["corpus: learning_rate", "`common`"]),
        ({"corpus": {"prepared_dir": "x", "packing": "full"}}, ["corpus: prepared_dir", "packing"]),
        ({"finetuning": [{"task_name": "colla"}]}, ["colla"]),
        ({"finetuning": [{}]}, ["entry 1", "task_name, or a name"]),
        ({"finetuning": [{"task_name": "cola", "scirpt": "run_glue"}]}, ["entry 1", "'scirpt'"]),
        ({"finetuning": [{"task_name": "cola", "data_dir": "nowhere"}]}, ["entry 1: data_dir: nowhere"]),
        ({"finetuning": [{"task_name": "cola"}, {"task_name": "cola"}]}, ["entry 2: cola is there twice"]),
        ({"finetuning": [{"script": "run_qa", "name": "x"}]}, ["entry 1", "'run_qa'", "run_ner"]),
        ({"baselines": {"fresh": {"run": "other", "random_initialization": True}}}, ["fresh", "'other'", "narrow"]),
        ({"baselines": {"fresh": {"run": "narrow"}}}, ["fresh", "random_initialization: true"]),
        ({"baselines": {"fresh": {}}}, ["fresh", "model_name_or_path"]),
        ({"baselines": {"wide": {"model_name_or_path": "x"}}}, ["wide", "a run has this name"]),
        ({"baselines": {"old": {"model_name_or_path": "x", "learning_rate": 1}}}, ["old", "learning_rate"]),
        ({"run": {}}, ["'run'", "runs"]),
    ],
)
def test_what_cannot_work_is_named(study, tmp_path, change, said):
    with pytest.raises(UsageError) as refused:
        read_study(write(tmp_path, study | change))
    assert "tiny.yaml" in str(refused.value)
    assert [text for text in said if text not in str(refused.value)] == []
