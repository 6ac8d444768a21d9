"""Files of other people run no code, read nothing outside their folder, and expand to no more than they should."""

import ast
import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import shutil
from pathlib import Path

import pytest
import zstandard
from huggingface_hub import constants
from malformed import ROOT, Kit, run

from electra_hf.corpora import decoding
from electra_hf.corpora.decoding import text_lines
from electra_hf.errors import CheckpointError, CorpusError, UsageError
from electra_hf.models import ElectraForReplacedTokenDetection
from electra_hf.models.attention import check_attention_name
from electra_hf.models.checkpoint import load_discriminator, load_masked_lm

SOURCES = [*sorted((ROOT / "electra_hf").rglob("*.py")), *sorted(ROOT.glob("run_*.py"))]
# Names of classes of transformers that are given as arguments.
ANY_CLASS = ("auto_class",)


def calls(source: str):
    """Every call in a module: name of the function with what stands before it, and its keywords."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


def refused_calls(source: str) -> list[str]:
    """What could run code of a file in a module."""
    found = []
    for name, words in calls(source):
        owner, _, function = name.rpartition(".")
        loads_anything = owner.startswith("Auto") or owner in ANY_CLASS
        if function in ("from_pretrained", "from_config") and loads_anything:
            found += [name] if words.get("trust_remote_code") != "False" else []
        elif words.get("trust_remote_code", "False") != "False":
            found.append(name)
        if name == "torch.load" and words.get("weights_only") != "True":
            found.append(name)
        if words.get("allow_pickle", "False") != "False" or words.get("weights_only", "True") != "True":
            found.append(name)
        if name in ("eval", "exec", "pickle.load", "pickle.loads", "yaml.unsafe_load", "joblib.load"):
            found.append(name)
        if function in ("extractall", "unpack_archive"):
            found.append(name)
    return found


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_module_loads_what_could_run(file: Path):
    assert refused_calls(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "AutoModel.from_pretrained(name)",
        "AutoConfig.from_pretrained(name, trust_remote_code=True)",
        "auto_class.from_config(config)",
        "load_dataset(name, trust_remote_code=True)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "np.load(file, allow_pickle=True)",
        "pickle.loads(data)",
        "archive.extractall(folder)",
    ],
)
def test_the_search_would_find_it(source: str):
    assert len(set(refused_calls(source))) == 1


def with_code(folder: Path, kit: Kit, *, model_type: str | None = None) -> Path:
    """A sound model whose configuration names code that would leave a file behind."""
    shutil.copytree(kit.model, folder)
    names = ("AutoConfig", "AutoModel", "AutoModelForPreTraining", "AutoModelForMaskedLM")
    more = ("AutoModelForSequenceClassification", "AutoModelForTokenClassification")
    for part in (folder, folder / "generator"):
        config = json.loads((part / "config.json").read_text())
        config["auto_map"] = dict.fromkeys((*names, *more), "mine.Mine")
        if model_type:
            config["model_type"] = model_type
        (part / "config.json").write_text(json.dumps(config))
        (part / "mine.py").write_text(f"open({str(folder / 'executed')!r}, 'w').close()\nclass Mine: ...\n")
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": ["mine.Mine", "mine.Mine"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder


@pytest.mark.parametrize("model_type", [None, "mine"])
def test_code_beside_a_model_is_not_run(model_type, kit: Kit, sound_pretraining, sound_glue, sound_ner, tmp_path):
    model = with_code(tmp_path / "model", kit, model_type=model_type)
    ended = [
        run(program, *sound, "--model_name_or_path", model, "--output_dir", tmp_path / program)
        for program, sound in (
            ("run_pretraining", sound_pretraining),
            ("run_glue", sound_glue),
            ("run_ner", sound_ner),
        )
    ]
    ended.append(run("electra-hf", "detect", model, "--text", "w1 w2"))
    ended.append(run("electra-hf", "tokenizer", "import", model, "--output_dir", tmp_path / "imported"))
    assert not (model / "executed").exists()
    assert (
        [end.code for end in ended] == [0, 0, 0, 0, 0] if model_type is None else all(e.code == 1 for e in ended[:4])
    )


class Payload:
    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return (os.mkdir, (str(self.file),))


@pytest.mark.parametrize(
    "load", [load_discriminator, load_masked_lm, ElectraForReplacedTokenDetection.from_pretrained]
)
def test_a_pickle_is_not_run(load, kit: Kit, tmp_path: Path):
    shutil.copytree(kit.model, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(pickle.dumps({"w": Payload(tmp_path / "executed")}))
    with pytest.raises(CheckpointError, match="pickle"):
        load(str(tmp_path / "model"))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_kernel_is_not_downloaded_unasked(version: int, kit: Kit, sound_pretraining, sound_glue, monkeypatch):
    def download(*_: object, **__: object) -> None:
        raise AssertionError("a kernel of the Hub was asked for")

    monkeypatch.setattr("transformers.modeling_utils.is_kernels_available", lambda: True)
    monkeypatch.setattr("transformers.modeling_utils.lazy_import_flash_attention", download)
    name = f"flash_attention_{version}"
    for program, sound in (("run_pretraining", sound_pretraining), ("run_glue", sound_glue)):
        ended = run(program, *sound, "--attn_implementation", name)
        assert ended.code == 2 and name in ended.message and "sdpa" in ended.message
    with pytest.raises(UsageError, match="needs its package"):
        ElectraForReplacedTokenDetection.from_pretrained(kit.model, attn_implementation=name)


def test_a_kernel_that_is_named_is_asked_for():
    check_attention_name("kernels-community/flash-attn2")
    check_attention_name(None)
    check_attention_name("sdpa")


COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("whole", [True, False])
def test_a_bomb_is_refused_before_it_is_read(suffix: str, whole: bool, tmp_path: Path, monkeypatch):
    """Sixteen megabytes of one letter, with a limit of one megabyte instead of 256."""
    monkeypatch.setattr(decoding, "EXPANSION_FREE_BYTES", 2**20)
    path = tmp_path / f"bomb.txt{suffix}"
    path.write_bytes(COMPRESS[suffix](b"a" * 2**24))
    assert decoding.MAX_EXPANSION * path.stat().st_size < 2**24
    with pytest.raises(CorpusError, match=r"bomb.txt\.\w+: .* expand to more than .* leave it out, or decompress it"):
        for _ in text_lines(path, "utf-8", "strict", whole=whole):
            pass


@pytest.mark.parametrize("suffix", COMPRESS)
def test_what_is_no_bomb_is_read(suffix: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(decoding, "EXPANSION_FREE_BYTES", 2**10)
    path = tmp_path / f"text.txt{suffix}"
    lines = [f"the river number {number} is long" for number in range(5000)]
    path.write_bytes(COMPRESS[suffix]("\n".join(lines).encode()))
    assert list(text_lines(path, "utf-8", "strict")) == lines


def test_zstandard_is_expanded_in_small_pieces(tmp_path: Path):
    """A block of four bytes can hold 128 KiB: what one read brings into memory is bounded."""
    content = zstandard.ZstdCompressor(level=1).compress(bytes(2**28))
    assert len(content) < 2**16, "one read of the file would have been all of it"
    stream = decoding._ZstandardFile(io.BytesIO(content))
    buffer = bytearray(1)
    stream.readinto(buffer)
    assert len(stream._ready) <= 2**17 * decoding._ZSTANDARD_BYTES // 4


def test_the_tests_are_offline():
    assert constants.HF_HUB_OFFLINE
