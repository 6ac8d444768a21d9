"""Every file in configs/accelerate is one that accelerate itself reads, launches as it says, and knows each key of."""

from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DistributedType

FOLDER = Path(__file__).parents[1] / "configs" / "accelerate"
FILES = sorted(FOLDER.glob("*.yaml"))


def load(name: str) -> ClusterConfig:
    config = load_config_from_file(str(FOLDER / name))
    assert isinstance(config, ClusterConfig)
    return config


def test_the_four_settings_are_there():
    assert [file.name for file in FILES] == ["fsdp2.yaml", "multi_gpu.yaml", "one_gpu.yaml", "two_machines.yaml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_accelerate_reads_the_file_and_its_launcher_knows_every_key(file: Path):
    config = load(file.name)  # raises on a key that ClusterConfig lacks
    assert config.mixed_precision == "bf16"
    # The launcher copies nested keys onto its arguments without a check, so that a misspelt one would do nothing.
    options = vars(launch_command_parser().parse_args(["script.py"]))
    assert set(config.fsdp_config or {}) <= set(options)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_head_of_the_file_says_how_to_use_it(file: Path):
    comments = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert any(f"--config_file configs/accelerate/{file.name}" in line for line in comments)


def test_one_gpu_starts_one_process_without_communication():
    config = load("one_gpu.yaml")
    assert config.distributed_type == DistributedType.NO
    assert config.num_processes == 1


def test_multi_gpu_starts_eight_processes():
    config = load("multi_gpu.yaml")
    assert config.distributed_type == DistributedType.MULTI_GPU
    assert (config.num_machines, config.num_processes) == (1, 8)


def test_two_machines_count_the_processes_of_both():
    config = load("two_machines.yaml")
    assert config.distributed_type == DistributedType.MULTI_GPU
    assert (config.num_machines, config.num_processes) == (2, 16)
    assert config.main_process_port != 0


def test_fsdp_is_version_2_with_whole_layers_of_the_class_that_transformers_has():
    config = load("fsdp2.yaml")
    assert config.distributed_type == DistributedType.FSDP
    assert config.fsdp_config is not None
    assert config.fsdp_config["fsdp_version"] == 2
    assert config.fsdp_config["fsdp_state_dict_type"] == "FULL_STATE_DICT"
    modeling = pytest.importorskip("transformers.models.electra.modeling_electra")
    assert hasattr(modeling, config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"])


def test_no_value_is_read_as_another_type_by_yaml():
    values = yaml.safe_load((FOLDER / "one_gpu.yaml").read_text(encoding="utf-8"))
    assert values["distributed_type"] == "NO"  # unquoted, YAML 1.1 reads a truth value
