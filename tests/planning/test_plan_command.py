"""`electra-hf plan`: what it prints, what it knows of the text, and that its probe is a run like any other."""

import json

import pytest

from electra_hf.cli import run
from electra_hf.errors import UsageError
from electra_hf.planning.forecast import read_prices
from electra_hf.planning.gpus import GPUS, fits, gpu_step_seconds
from electra_hf.planning.memory import TensorMemory
from electra_hf.planning.text import Texts, is_local, read_sample
from electra_hf.tokens.prepared import prepared_splits
from electra_hf.training import DataArguments

SIZES = "hidden_size=32,embedding_size=16,num_hidden_layers=2,num_attention_heads=2,intermediate_size=64"
TEXT = "\n\n".join(f"the river number {index} is long and old\nit sings over small stones" for index in range(400))
WORDS = ["the", "river", "is", "long", "and", "old", "it", "sings", "over", "small", "stones", "number"]


@pytest.fixture
def options(tmp_path, hf_cache) -> list[str]:
    (tmp_path / "text.txt").write_text(TEXT)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (tmp_path / "vocab.txt").write_text("\n".join([*special, *WORDS, *"0123456789", *(f"##{n}" for n in range(10))]))
    return [
        *("--train_file", str(tmp_path / "text.txt"), "--tokenizer_name", str(tmp_path / "vocab.txt")),
        *("--do_lower_case", "true", "--max_seq_length", "32", "--config_overrides", SIZES, "--use_cpu"),
        *("--output_dir", str(tmp_path / "run"), "--per_device_train_batch_size", "4", "--max_steps", "20"),
        *("--per_device_eval_batch_size", "4"),
    ]


@pytest.fixture
def plan(capsys):
    def plan(*arguments: str) -> dict:
        run(["plan", *arguments, "--json"])
        return json.loads(capsys.readouterr().out)

    return plan


def test_blocks_are_counted_as_they_will_be_prepared(options, plan, tmp_path, capsys):
    found = plan(*options, "--no_probe", "--do_eval")
    prepared = [option for option in options if option not in ("--use_cpu",)]
    prepared = prepared[: prepared.index("--config_overrides")]
    run(["prepare", *prepared, "--output_dir", str(tmp_path / "blocks"), "--disable_tqdm"])
    capsys.readouterr()
    splits = prepared_splits(tmp_path / "blocks")
    text = found["text"]
    assert text["how"].startswith("exact")
    assert text["blocks"] == splits["train"]["counts"]["blocks"]
    assert text["tokens"] == splits["train"]["counts"]["block_tokens"]
    assert text["eval_blocks"] == splits["validation"]["counts"]["blocks"]
    again = plan(*options[4:], "--no_probe", "--do_eval", "--prepared_dir", str(tmp_path / "blocks"))
    assert {**again["text"], "how": text["how"]} == text
    assert found["run"]["tokens"] == 20 * 4 * 32
    assert found["time"] is None and found["memory"]["tensors"]["weights"] == 4 * found["parameters"]["total"]


def test_a_sample_of_a_long_file_tells_its_size(options, plan, monkeypatch, tmp_path):
    (tmp_path / "text.txt").write_text("\n\n".join(TEXT.replace("old", str(number)) for number in range(60)))
    whole = plan(*options, "--no_probe")["text"]
    monkeypatch.setattr("electra_hf.planning.text.LOOKED_AT_CHARACTERS", 600_000)
    sampled = plan(*options, "--no_probe")["text"]
    assert sampled["how"] == "estimated from the first 0.6 million characters"
    assert sampled["blocks"] == pytest.approx(whole["blocks"], rel=0.1)
    assert sampled["tokens"] == pytest.approx(whole["tokens"], rel=0.1)


def test_a_corpus_of_the_hub_is_not_downloaded(options, plan):
    found = plan(*options[4:], "--no_probe", "--corpus", "namuwiki", "--tokenizer_name", "nobody/nothing")
    assert found["text"]["blocks"] is None
    assert "2.4 GB" in found["text"]["how"]
    assert any("nobody/nothing cannot be loaded here" in note for note in found["notes"])
    assert found["parameters"]["total"] > 30_522 * 16


def test_the_probe_measures_time_memory_and_disk(options, plan, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("save_steps: 10\nbatch_size_warmup_steps: 8\nbatch_size_warmup_start: 2\n")
    arguments = ["--probe_seconds", "1", "--do_eval", "--price_per_hour", "3600", "T4=1", "--max_train_minutes", "60"]
    found = plan(str(config), *options, *arguments)
    time, disk = found["time"], found["disk"]
    assert time["measured_steps"] >= 4 and time["steps"] == 20
    assert time["seconds"] == pytest.approx(sum(time["parts"].values()))
    # 8 steps with half of the rows take no longer than whole ones.
    assert time["parts"]["training"] <= 20.5 * time["step_seconds"] * 1.5
    assert time["cost"] == pytest.approx(time["seconds"])
    assert found["memory"]["peak_bytes"] > found["memory"]["tensors"]["total"]
    weights = 4 * (found["parameters"]["main"] + found["parameters"]["generator"])
    assert disk["checkpoint_bytes"] > weights + 8 * found["parameters"]["total"]
    assert (disk["checkpoints_written"], disk["checkpoints_kept"]) == (2, 2)
    assert not (tmp_path / "run").exists()


def test_what_is_printed_can_be_read(options, capsys):
    run(["plan", *options, "--no_probe", "--num_processes", "2", "--price_per_hour", "A100=2", "--hpo", "optuna"])
    shown = capsys.readouterr().out
    for expected in ("main encoder", "FLOPs in all", "2 x A100", "nothing measured", "one of 20 trials"):
        assert expected in shown
    assert "tokens per step       256" in shown  # 2 processes, 4 rows, 32 tokens


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--price_per_hour", "cheap"], "--price_per_hour cheap"),
        (["--price_per_hour", "B900=1"], "--price_per_hour B900=1: .*A100"),
        (["--mfu", "0"], "--mfu 0.0"),
        (["--max_step", "3"], "did you mean 'max_steps'"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(options, arguments, message):
    with pytest.raises(UsageError, match=message):
        run(["plan", *options, *arguments])


def test_prices_are_of_this_machine_or_of_one_in_the_table():
    assert read_prices(["H100=2.5", "0.1"]) == {"H100": 2.5, "here": 0.1}


def test_large_models_need_large_gpus_and_more_time():
    small, large = (TensorMemory(weights=n, gradients=n, optimizer=2 * n, activations=n) for n in (10**8, 10**10))
    by_name = {gpu.name: gpu for gpu in GPUS}
    assert fits(by_name["T4"], small) and not fits(by_name["T4"], large) and fits(by_name["H200"], large)
    times = [
        gpu_step_seconds(by_name[name], 1e12, small, layers=24, batches=1, mfu=0.3) for name in ("T4", "A100", "H200")
    ]
    assert times == sorted(times, reverse=True)


def test_only_text_of_this_machine_is_read(tmp_path):
    assert is_local(DataArguments(train_file=["a.txt"], corpus=["python-docs", f"kowiki={tmp_path}"]))
    assert not is_local(DataArguments(corpus=["kowiki"]))
    assert not is_local(DataArguments(dataset_name=["x/y"]))
    assert not is_local(DataArguments(train_file=["https://host/a.txt"]))
    assert read_sample(Texts(["one", "two"]), []) == (["one", "two"], 1.0)
