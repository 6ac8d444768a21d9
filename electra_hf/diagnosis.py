"""What a machine has, and what is wrong with it: the facts of `electra-hf doctor`.

Nothing here is secret when it is printed: tokens are only said to be there, of environment variables that are not
known to be harmless only the name is given, and home folder and user name are taken out of paths.
"""

import getpass
import json
import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.version import Version

from electra_hf import __version__
from electra_hf.errors import without_secrets

OK, WARNING, BROKEN = "ok", "warning", "broken"
NEEDED = ("torch", "transformers", "datasets", "accelerate", "tokenizers", "huggingface_hub", "safetensors", "numpy")
OPTIONAL = (
    "optuna", "evaluate", "tensorboard", "mlflow-skinny", "wandb", "trackio", "codecarbon", "gradio", "onnxruntime",
    "sentence-transformers", "fugashi", "python-mecab-ko", "ray", "datatrove", "deepspeed",
)  # fmt: skip
# The oldest and the newest release that the tests ran with.
TESTED = {"torch": ("2.11", "2.13"), "transformers": ("5.15", "5.23")}
OLDEST_PYTHON = (3, 11)
_PREFIXES = ("HF_", "HUGGING", "TRANSFORMERS_", "ACCELERATE_", "OMP_", "MKL_", "CUDA_", "TORCH_", "NCCL_", "MALLOC_")
_SHOWN = (
    "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE",
    "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
    "TOKENIZERS_PARALLELISM", "CUDA_VISIBLE_DEVICES", "ACCELERATE_MIXED_PRECISION", "TORCH_LOGS", "CXX",
)  # fmt: skip
_ACCELERATE_KEYS = (
    "compute_environment",
    "distributed_type",
    "mixed_precision",
    "num_processes",
    "num_machines",
    "use_cpu",
)
_INSTRUCTIONS = (
    "avx2",
    "avx512_f",
    "avx512",
    "avx512_bf16",
    "avx512_vnni",
    "amx_tile",
    "amx_bf16",
    "neon",
    "sve",
    "bf16",
)
_HUB_SECONDS, _NVIDIA_SECONDS = 5.0, 20.0
_LITTLE_SPACE = 5e9
_TOLERANCE = 1e-3


def look_around(*, offline: bool = False) -> dict[str, Any]:
    """Look at everything.

    Args:
        offline: Do not ask the Hub.

    Returns:
        JSON values: versions, system, processor, memory, gpus, kernels, accelerate, environment, disks, hub, and
        checks: {"state": ok, warning or broken, "what", "advice"}.
    """
    checks: list[dict[str, str]] = []
    found: dict[str, Any] = {"versions": _versions(checks), "system": _system(checks)}
    torch = _import_torch(checks)
    found["processor"] = _processor(torch)
    found["memory"] = _memory()
    found["gpus"] = _gpus(torch, checks)
    found["kernels"] = _kernels(checks) if torch is not None else "not tried: torch cannot be imported"
    found["accelerate"] = _accelerate()
    found["environment"] = environment(os.environ)
    found["disks"] = _disks(checks)
    found["hub"] = _hub(offline, checks)
    found["checks"] = checks
    return json.loads(clean(json.dumps(found)))


def clean(text: str) -> str:
    """A text without secrets, with ~ for the home folder, and USER for the user's name as a part of other paths."""
    text = without_secrets(text).replace(str(Path.home()), "~")
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a number without a name
        return text
    return text.replace(f"/{user}/", "/USER/").replace(f'/{user}"', '/USER"')


def environment(variables: Any) -> dict[str, str]:
    """Variables that matter: values of harmless ones, of others only that they are set.

    >>> environment({"HF_TOKEN": "hf_secret", "OMP_NUM_THREADS": "4", "PATH": "/bin"})
    {'HF_TOKEN': 'set', 'OMP_NUM_THREADS': '4'}
    """
    names = sorted(name for name in variables if name.startswith(_PREFIXES) or name in _SHOWN)
    return {name: variables[name] if name in _SHOWN else "set" for name in names}


def _note(checks: list[dict[str, str]], state: str, what: str, advice: str = "") -> None:
    checks.append({"state": state, "what": what, "advice": advice})


def _versions(checks: list[dict[str, str]]) -> dict[str, str | None]:
    versions: dict[str, str | None] = {"electra_hf": __version__, "python": platform.python_version()}
    for name in (*NEEDED, *OPTIONAL):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
            if name in NEEDED:
                _note(checks, BROKEN, f"{name} is not installed", "install electra_hf again: pip install -e .")
    if sys.version_info < OLDEST_PYTHON:
        _note(checks, BROKEN, f"Python {versions['python']}", "electra_hf needs Python 3.11 or newer")
    for name, (oldest, newest) in TESTED.items():
        if (found := versions[name]) is not None:
            _note(checks, *_judge_version(name, found, oldest, newest))
    return versions


def _judge_version(name: str, found: str, oldest: str, newest: str) -> tuple[str, str, str]:
    release = Version(found).release[:2]
    if release < Version(oldest).release:
        return BROKEN, f"{name} {found}", f"{name} {oldest} or newer is needed: pip install -U {name}"
    if release > Version(newest).release:
        advice = (
            f"newer than {newest}, the newest that was tested: with a problem, try pip install '{name}~={newest}.0'"
        )
        return WARNING, f"{name} {found}", advice
    return OK, f"{name} {found} is within the tested range, {oldest} to {newest}", ""


def _system(checks: list[dict[str, str]]) -> dict[str, str]:
    if platform.system() != "Linux":
        advice = "the compiled CPU kernels and the tests are for Linux; training works without them, slower"
        _note(checks, WARNING, f"the system is {platform.system()}", advice)
    names = {"system": platform.system(), "release": platform.release(), "machine": platform.machine()}
    return names | {"libc": " ".join(platform.libc_ver())}


def _import_torch(checks: list[dict[str, str]]) -> Any:
    try:
        import torch
    except (ImportError, OSError) as error:
        _note(checks, BROKEN, f"torch cannot be imported: {error}", "install PyTorch for this machine (pytorch.org)")
        return None
    return torch


def _processor(torch: Any) -> dict[str, Any]:
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        model = next((value.strip() for name, _, value in lines if name.strip() == "model name"), model)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found: dict[str, Any] = {"model": model, "cores": os.cpu_count(), "usable_cores": allowed}
    if torch is not None:
        capabilities = torch.cpu.get_capabilities()
        found |= {
            "threads": torch.get_num_threads(),
            "instructions": [n for n in _INSTRUCTIONS if capabilities.get(n)],
        }
    return found


def _memory() -> dict[str, float | None]:
    """Bytes."""
    found: dict[str, float | None] = {"total": None, "available": None, "limit": None}
    info, limit = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
    if info.is_file():
        values = dict(line.split(":", 1) for line in info.read_text().splitlines())
        for name, key in (("total", "MemTotal"), ("available", "MemAvailable")):
            found[name] = 1024 * float(values[key].split()[0])
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        found["limit"] = float(text)
    return found


def _gpus(torch: Any, checks: list[dict[str, str]]) -> dict[str, Any]:
    driver = _nvidia_smi()
    usable = []
    if torch is not None and torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            usable.append({"name": properties.name, "bytes": properties.total_memory})
    if driver and not usable:
        built = getattr(torch.version, "cuda", None) if torch is not None else None
        why = f"torch is built for CUDA {built}: is the driver new enough?" if built else "torch is built without CUDA"
        advice = f"{why} Install the build of PyTorch for this driver (pytorch.org)"
        _note(checks, WARNING, f"there is an NVIDIA driver ({driver[0]}), and torch does not see a GPU", advice)
    versions = {} if torch is None else {"cuda": torch.version.cuda, "hip": torch.version.hip}
    return {"driver": driver, "usable": usable, "torch_built_for": versions}


def _nvidia_smi() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=_NVIDIA_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _kernels(checks: list[dict[str, str]]) -> str:
    """Build the compiled kernels if they are not there, and compare a small encoder with transformers' own."""
    import torch
    from transformers import ElectraConfig, ElectraModel

    from electra_hf.models import fused

    try:
        operations = fused.native_operations()
    except fused.KernelError as error:
        advice = f"{error}; without them training on a CPU is slower, and the same"
        _note(checks, WARNING, "the compiled CPU kernels cannot be used", advice)
        return f"cannot be used: {error}"
    sizes: dict[str, Any] = {"embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = ElectraModel(ElectraConfig(vocab_size=64, intermediate_size=64, **sizes)).eval()
        ids = torch.arange(16).view(1, 16)
        ours = fused.encode(model, ids, None, None, operations, fused.Seeds(), None)
        difference = (ours - model(ids).last_hidden_state).abs().max().item()
    if difference > _TOLERANCE:
        advice = "use --implementation fused, and report it with this text"
        _note(checks, BROKEN, f"the compiled CPU kernels are wrong by {difference:.1e}", advice)
        return f"wrong by {difference:.1e}"
    _note(checks, OK, "the compiled CPU kernels build, run and agree with transformers")
    return f"work (difference {difference:.0e})"


def _accelerate() -> dict[str, Any] | str:
    try:
        from accelerate.commands.config.config_args import default_config_file, load_config_from_file
    except (ImportError, OSError) as error:
        return f"cannot be imported: {error}"
    if not Path(default_config_file).is_file():
        return "no configuration: accelerate's defaults"
    try:
        values = vars(load_config_from_file(None))
    except (ValueError, TypeError, OSError) as error:
        return f"cannot be read: {type(error).__name__}; `accelerate config` makes it anew"
    return {name: str(getattr(values[name], "value", values[name])) for name in _ACCELERATE_KEYS if name in values}


def _disks(checks: list[dict[str, str]]) -> dict[str, Any]:
    """Free bytes where models and corpora are kept, and in the current folder."""
    cache = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    found = {}
    for what, folder in (("cache of Hugging Face", cache), ("current folder", Path.cwd())):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(there).free
        writable = os.access(there, os.W_OK)
        found[what] = {"folder": str(folder), "free": free, "writable": writable}
        if not writable:
            advice = "change its permissions" + (", or set HF_HOME to another folder" if "cache" in what else "")
            _note(checks, BROKEN if "cache" in what else WARNING, f"the {what} cannot be written", advice)
        elif free < _LITTLE_SPACE:
            advice = "checkpoints and prepared blocks may not fit: `electra-hf plan` says how much they need"
            _note(checks, WARNING, f"the {what} has {free / 1e9:.1f} GB free", advice)
    return found


def _hub(offline: bool, checks: list[dict[str, str]]) -> dict[str, Any]:
    try:
        from huggingface_hub import constants, get_token
    except ImportError:
        return {"reachable": "not tried"}
    found: dict[str, Any] = {"token": "set" if get_token() else "none"}
    if offline or constants.HF_HUB_OFFLINE:
        return found | {"reachable": "not tried: --offline" if offline else "not tried: HF_HUB_OFFLINE is set"}
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_HUB_SECONDS):
            pass
    except urllib.error.HTTPError:
        pass  # it answers
    except (OSError, ValueError) as error:
        advice = "check network and proxy (HTTPS_PROXY); with what is in the cache, HF_HUB_OFFLINE=1 saves waiting"
        _note(checks, WARNING, f"the Hub does not answer ({type(error).__name__})", advice)
        return found | {"reachable": "no"}
    _note(checks, OK, "the Hub can be reached")
    return found | {"reachable": "yes"}


def broken(found: dict[str, Any]) -> list[str]:
    """What does not work, each with an advice."""
    return [f"{check['what']}: {check['advice']}" for check in found["checks"] if check["state"] == BROKEN]


def as_markdown(found: dict[str, Any]) -> str:
    """For a bug report."""
    versions = {name: version for name, version in found["versions"].items() if version is not None}
    processor, memory = found["processor"], found["memory"]
    gpus = [f"{gpu['name']}, {_gb(gpu['bytes'])}" for gpu in found["gpus"]["usable"]] or ["none that torch can use"]
    rows = [
        ("system", " ".join(found["system"].values())),
        ("processor", f"{processor['model']}, {processor['usable_cores']} of {processor['cores']} cores"),
        ("instructions", ", ".join(processor.get("instructions", [])) or "none that matter"),
        ("threads of torch", str(processor.get("threads", "unknown"))),
        ("memory", f"{_gb(memory['total'])}, {_gb(memory['available'])} of it available"),
        ("memory limit", _gb(memory["limit"]) if memory["limit"] else "none"),
        ("GPUs", "; ".join(gpus)),
        ("NVIDIA driver", "; ".join(found["gpus"]["driver"]) or "none"),
        ("CPU kernels", found["kernels"]),
        ("accelerate", _pairs(found["accelerate"])),
        ("environment", _pairs(found["environment"]) or "nothing set"),
        *((name, f"{disk['folder']}, {_gb(disk['free'])} free") for name, disk in found["disks"].items()),
        ("Hub", _pairs(found["hub"])),
        ("packages", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    lines = ["### electra-hf doctor", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value.replace('|', '/')} |" for name, value in rows]
    lines += ["", *(_line(check) for check in found["checks"])]
    return "\n".join(lines) + "\n"


def _line(check: dict[str, str]) -> str:
    return f"- **{check['state']}**: {check['what']}" + (f": {check['advice']}" if check["advice"] else "")


def _pairs(values: dict[str, Any] | str) -> str:
    return values if isinstance(values, str) else ", ".join(f"{name}={value}" for name, value in values.items())


def _gb(number: float | None) -> str:
    return "unknown" if number is None else f"{number / 1e9:.1f} GB"
