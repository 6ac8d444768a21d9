"""The demo of a model as a folder that is a Space of the Hub.

The folder holds all the code it runs: a copy of `electra_hf.sharing.demo` and an app.py of a few lines, so that the
Space installs torch and transformers and nothing of ours.
"""

import json
import shutil
from importlib.metadata import version
from pathlib import Path

from huggingface_hub import RepoCard

from electra_hf.errors import UsageError, explain_os_error
from electra_hf.sharing import demo

CODE_FOLDER, MODEL_FOLDER, EXAMPLES_NAME = "electra_demo", "model", "examples.txt"
# What loading needs of a run: no states of training, no results.
_MODEL_FILES = (
    "config.json", "*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "objective.json",
    "generator/config.json", "generator/*.safetensors", "generator/*.safetensors.index.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "*.model",
)  # fmt: skip
_APP = '''"""Try a pre-trained model: swap tokens, judge texts, fill masks."""

from pathlib import Path

from {code}.app import launch
from {code}.loading import load_models

HERE = Path(__file__).parent
MODEL = {model}
EXAMPLES = (HERE / "{examples}").read_text(encoding="utf-8").splitlines()

if __name__ == "__main__":
    launch(load_models(MODEL), EXAMPLES, title={title})
'''
_README = """# {title}

A demo of {about}.

A generator swaps tokens of a text, and a discriminator says which ones it suspects; texts of your own are judged;
masks are filled: whatever of it the model can do. Written by electra_hf, and standing alone.

To run it on your machine: `pip install -r requirements.txt gradio=={gradio}`, then `python app.py`.
"""


def write_space(
    folder: str | Path,
    model: str,
    examples: list[str],
    *,
    hub_model_id: str | None = None,
    copy_model: bool = False,
    title: str | None = None,
) -> list[Path]:
    """Write a folder that can be pushed as a Space.

    Args:
        folder: Where to; new, empty, or a Space that was written here before.
        model: Folder or Hub id of the model.
        examples: Sentences to begin with.
        hub_model_id: The repository that the Space loads the model from; default: `model`, if it is no folder.
        copy_model: Copy the files of the model instead, from a folder.
        title: Of the Space; default: from the name of the model.

    Returns:
        The files.

    Raises:
        UsageError: If the Space would have no model, or two of them, or the folder holds something else.
    """
    folder, source = Path(folder), Path(model)
    if copy_model and (hub_model_id or not source.is_dir()):
        raise UsageError("--copy_model copies the files of a folder: give one, and no --hub_model_id")
    hub_id = hub_model_id or (None if source.is_dir() else model)
    if hub_id is None and not copy_model:
        raise UsageError(
            f"{model} is a folder of this machine, which a Space cannot see: give --hub_model_id OWNER/NAME once it "
            "is pushed, or --copy_model to put its files into the Space"
        )
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CODE_FOLDER).is_dir():
        raise UsageError(f"--as-space {folder}: it holds other files: give a new folder")
    title = title or f"Try {(hub_id or source.resolve().name).rpartition('/')[2]}"
    try:
        _write_code(folder, hub_id, title)
        _write_words(folder, hub_id, title, examples)
        # Of a Space that was written here before.
        shutil.rmtree(folder / MODEL_FOLDER, ignore_errors=True)
        if copy_model:
            _copy_model(source, folder / MODEL_FOLDER)
    except OSError as error:
        raise UsageError(explain_os_error(error, error.filename or folder)) from error
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _write_code(folder: Path, hub_id: str | None, title: str) -> None:
    code = folder / CODE_FOLDER
    code.mkdir(parents=True, exist_ok=True)
    for module in Path(demo.__path__[0]).glob("*.py"):
        shutil.copyfile(module, code / module.name)
    model = f'str(HERE / "{MODEL_FOLDER}")' if hub_id is None else json.dumps(hub_id)
    app = _APP.format(code=CODE_FOLDER, model=model, examples=EXAMPLES_NAME, title=json.dumps(title))
    (folder / "app.py").write_text(app, encoding="utf-8")


def _write_words(folder: Path, hub_id: str | None, title: str, examples: list[str]) -> None:
    # The Hub installs the gradio of `sdk_version`. The release installed here has loaded this very model.
    requirements = ["torch", f"transformers>={version('transformers')},<6", "safetensors", "sentencepiece", "protobuf"]
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    (folder / EXAMPLES_NAME).write_text("\n".join(examples) + "\n", encoding="utf-8")
    header = {
        "title": title, "emoji": "🔎", "colorFrom": "blue", "colorTo": "yellow", "sdk": "gradio",
        "sdk_version": version("gradio"), "app_file": "app.py", "pinned": False,
    }  # fmt: skip
    if hub_id is not None:
        header["models"] = [hub_id]
    lines = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in header.items())
    about = "a model whose files lie in `model/`" if hub_id is None else f"[{hub_id}](https://huggingface.co/{hub_id})"
    body = _README.format(title=title, about=about, gradio=version("gradio"))
    RepoCard(f"---\n{lines}\n---\n\n{body}").save(folder / "README.md")


def _copy_model(source: Path, target: Path) -> None:
    for pattern in _MODEL_FILES:
        for file in source.glob(pattern):
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
