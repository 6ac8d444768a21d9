"""Models to the Hub: of finished runs and of single checkpoints, pre-trained and fine-tuned.

What is there already is compared by its hash and not sent again, so a push that failed is simply repeated. Each
revision gets one commit: it is there with all its files, or as it was before.
"""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.sharing.card_files import card_for_hub, read_facts
from electra_hf.sharing.hub_files import CARD_NAME, GENERATOR_FOLDER, HubFiles, checkpoints_of, files_for_hub, step_of
from electra_hf.sharing.model_card import generator_card

# Of the library that huggingface_hub talks with, httpx or its successor: what a network out of reach raises.
_NETWORK_ERROR: type[BaseException] = HfHubHTTPError.__bases__[0]
# An answer that is no answer, such as that of a proxy, is a KeyError or TypeError of the client.
_ERRORS = (HfHubHTTPError, _NETWORK_ERROR, OSError, ValueError, RuntimeError, LookupError, TypeError)
_MAIN = "main"
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
_BLOCK = 2**20


@dataclass(frozen=True)
class HubTarget:
    """Where a model goes.

    Attributes:
        repo_id: `owner/name`, or `name` for one of one's own.
        generator_repo_id: A repository for the generator alone; None keeps it in `generator/` beside the encoder.
        private: Whether new repositories are private; None for the account's own setting.
        revision: Branch, which is made if need be; None for the main one.
        language: ISO 639 codes for the card; None for those of its facts.
        license: An identifier of the Hub, likewise.
    """

    repo_id: str
    generator_repo_id: str | None = None
    private: bool | None = None
    revision: str | None = None
    language: tuple[str, ...] | None = None
    license: str | None = None

    @property
    def repositories(self) -> tuple[str, ...]:
        """All of them."""
        return (self.repo_id, *([self.generator_repo_id] if self.generator_repo_id else []))

    def describe(self, facts: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """The facts of a card for this place."""
        changed = {name: value for name, value in {**facts, **more}.items() if value is not None}
        changed["name"] = self.repo_id
        if self.generator_repo_id and "generator" in facts:
            changed["generator_name"] = self.generator_repo_id
        if self.language:
            changed["language"] = list(self.language)
        if self.license:
            changed["license"] = self.license
        return changed


@dataclass(frozen=True)
class Pushed:
    """One revision of one repository, as it is now.

    Attributes:
        repo_id: The repository.
        revision: Its branch.
        address: For a browser.
        sent: Files that were sent.
        sent_bytes: Their size.
        kept: How many were there already.
    """

    repo_id: str
    revision: str
    address: str
    sent: tuple[str, ...]
    sent_bytes: int
    kept: int

    def __str__(self) -> str:
        known = f"{self.kept} were there already" if self.kept else ""
        if not self.sent:
            return f"{self.address} (nothing to send: {known})"
        size = f"{len(self.sent)} file{'s' if len(self.sent) > 1 else ''}, {self.sent_bytes / 1e6:,.1f} MB"
        return f"{self.address} ({'; '.join(part for part in (size, known) if part)})"


def push_command(folder: str | Path, target: HubTarget, *, with_checkpoints: bool = False) -> str:
    """The command that makes, or repeats, the same upload."""
    words = ["electra-hf", "push", str(folder), "--hub_model_id", target.repo_id]
    words += ["--hub_generator_model_id", target.generator_repo_id] if target.generator_repo_id else []
    words += ["--hub_private_repo"] if target.private else []
    words += ["--revision", target.revision] if target.revision else []
    words += ["--hub_language", *target.language] if target.language else []
    words += ["--hub_license", target.license] if target.license else []
    return shlex.join([*words, *(["--with_checkpoints"] if with_checkpoints else [])])


def check_hub(target: HubTarget, *, token: str | None = None) -> HubTarget:
    """Log in and make the repositories, before a training whose model is to be uploaded.

    Only the making of a repository, or its being there, shows where a token may write.

    Args:
        target: Where the model will go.
        token: Access token; None for the one of `hf auth login` or of HF_TOKEN.

    Returns:
        The target with the whole names of its repositories.

    Raises:
        CheckpointError: If the Hub does not answer, does not know the token, or lets it only read; if a repository
            that should be private is public.
    """
    problem = f"the model could not be uploaded to {target.repo_id}"
    with explained(problem, f"{_LOGIN}, or choose another name: --hub_model_id"):
        api = HfApi(token=token)
        known = api.whoami()
        access = (known.get("auth") or {}).get("accessToken") or {}
        if access.get("role") == "read":
            raise ValueError(f"the token of {known['name']} may only read, and uploading needs one that may write")
        return _make_repositories(api, target, known["name"])


def _make_repositories(api: HfApi, target: HubTarget, user: str | None = None) -> HubTarget:
    made = []
    for repo_id in target.repositories:
        asked = f"{user}/{repo_id}" if user and "/" not in repo_id else repo_id
        made.append(api.create_repo(asked, private=target.private, exist_ok=True).repo_id)
        if target.private and not api.model_info(made[-1]).private:
            raise CheckpointError(
                f"--hub_private_repo: {made[-1]} is there, and public: make it private in its settings, or choose "
                "another name"
            )
    return replace(target, repo_id=made[0], generator_repo_id=made[1] if len(made) > 1 else None)


def push_run(
    folder: str | Path, target: HubTarget, *, with_checkpoints: bool = False, token: str | None = None
) -> list[Pushed]:
    """Upload the model of a run, or of one of its checkpoints, with its card.

    Args:
        folder: The output folder of a run, a checkpoint of it, or a fine-tuned model.
        target: Where it goes.
        with_checkpoints: Each checkpoint too, as the revision `step-N`: the model as it was, and no state of the
            training.
        token: Access token; None for the one of `hf auth login` or of HF_TOKEN.

    Returns:
        What was done, revision by revision.

    Raises:
        CheckpointError: If there is no model, or the Hub cannot be reached or refuses; nothing in the folder is
            touched, and the same command sends what is missing.
        UsageError: If something was asked for that the folder does not have.
    """
    folder = Path(folder)
    files = files_for_hub(folder)
    checkpoints = checkpoints_of(folder) if with_checkpoints else {}
    if with_checkpoints and not checkpoints:
        raise UsageError(f"--with_checkpoints: {folder} holds no checkpoint-N folder; leave it out")
    if target.generator_repo_id and not files.part(GENERATOR_FOLDER):
        raise UsageError(f"--hub_generator_model_id: {folder} holds no {GENERATOR_FOLDER}/; leave it out")
    command = push_command(folder, target, with_checkpoints=with_checkpoints)
    with explained(
        f"{folder} is complete, but could not be uploaded to {target.repo_id}",
        f"`{command}` sends what is missing",
        refused=f"{_LOGIN}, then `{command}` sends what is missing",
    ):
        api = HfApi(token=token)
        target = _make_repositories(api, target)
        is_checkpoint = step_of(folder) is not None
        run, changes = (folder.parent, checkpoint_facts(folder)) if is_checkpoint else (folder, {})
        done = push_model(api, folder, files, target, message="Upload model", run=run, changes=changes)
        for step, checkpoint in checkpoints.items():
            done += push_model(
                api,
                checkpoint,
                files_for_hub(checkpoint),
                replace(target, revision=f"step-{step}"),
                message=f"Step {step}",
                run=folder,
                changes=checkpoint_facts(checkpoint),
                exactly=True,
            )
    return done


def push_model(
    api: HfApi,
    folder: Path,
    files: HubFiles,
    target: HubTarget,
    *,
    message: str,
    run: Path,
    changes: Mapping[str, Any],
    exactly: bool = False,
) -> list[Pushed]:
    """Upload one model folder: one revision, or two if its generator has a repository of its own.

    Args:
        api: The client.
        folder: Of the model.
        files: Its files.
        target: Repositories that are there, and the branch.
        message: Of the commits.
        run: The folder with the facts of the card: that of the run, for a checkpoint.
        changes: To these facts.
        exactly: See `push_files`.

    Raises:
        HfHubHTTPError: And whatever else huggingface_hub raises.
    """
    card = card_for_hub(folder, lambda facts: target.describe(facts, **changes), of=run)
    contents: dict[str, Path | bytes] = dict(
        files.without(GENERATOR_FOLDER) if target.generator_repo_id else files.model
    )
    if card is not None:
        contents[CARD_NAME] = card.encode()
    done = [push_files(api, target.repo_id, contents, target.revision, message, exactly=exactly)]
    if target.generator_repo_id:
        known = read_facts(run)
        facts: Any = target.describe(known[1] if known else {})
        text = generator_card(target.generator_repo_id, target.repo_id, facts)
        contents = {**files.tokenizer, **files.part(GENERATOR_FOLDER), CARD_NAME: text.encode()}
        done.append(push_files(api, target.generator_repo_id, contents, target.revision, message, exactly=exactly))
    return done


def checkpoint_facts(checkpoint: Path) -> dict[str, Any]:
    """What is known of a checkpoint in the place of its finished run.

    Raises:
        CheckpointError: If its `trainer_state.json` cannot be read.
    """
    path = checkpoint / "trainer_state.json"
    try:
        state = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        rows = [row for row in state.get("log_history", []) if row["step"] == state["global_step"]]
        results = {key: value for row in rows for key, value in row.items() if key.startswith("eval_")}
        facts: dict[str, Any] = {"steps": step_of(checkpoint), "results": results}
        facts |= {"max_steps": state["max_steps"], "flops": state["total_flos"]} if state else {}
        facts |= {"epochs": state["epoch"]} if state.get("epoch") else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not the state of a Trainer ({error}): leave this checkpoint out") from error
    # These are known of the whole run only.
    return {**dict.fromkeys(("tokens_seen", "epochs", "hours", "energy_kwh", "co2_kg")), **facts}


def push_files(
    api: HfApi,
    repo_id: str,
    files: Mapping[str, Path | bytes],
    revision: str | None,
    message: str,
    *,
    exactly: bool = False,
) -> Pushed:
    """Bring a revision to hold these files, in one commit; without one if it does already.

    Args:
        api: The client.
        repo_id: A repository that is there.
        files: Path in the repository -> file, or its content.
        revision: Branch, which is made if need be; None for the main one.
        message: Of the commit.
        exactly: Other files are removed; where nothing but the card differs, the one there stays.
    """
    revision = revision or _MAIN
    if revision != _MAIN:
        api.create_branch(repo_id, branch=revision, exist_ok=True)
    entries = api.list_repo_tree(repo_id, recursive=True, revision=revision)
    there = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    sent = {path: item for path, item in files.items() if path not in there or not _is_same(item, there[path])}
    surplus = sorted(there.keys() - files.keys() - {".gitattributes"}) if exactly else []
    if exactly and not surplus and sent.keys() == {CARD_NAME} and CARD_NAME in there:
        sent = {}
    address = f"{api.endpoint}/{repo_id}" + ("" if revision == _MAIN else f"/tree/{revision}")
    if sent or surplus:
        operations: list[Any] = [CommitOperationDelete(path_in_repo=path) for path in surplus]
        operations += [CommitOperationAdd(path_in_repo=path, path_or_fileobj=item) for path, item in sent.items()]
        api.create_commit(repo_id, operations, commit_message=message, revision=revision)
    size = sum(len(item) if isinstance(item, bytes) else item.stat().st_size for item in sent.values())
    return Pushed(repo_id, revision, address, tuple(sent), size, len(files) - len(sent))


def _is_same(item: Path | bytes, entry: RepoFile) -> bool:
    size = len(item) if isinstance(item, bytes) else item.stat().st_size
    if size != entry.size:
        return False
    # Git hashes a header too, LFS only the content.
    digest = hashlib.sha256() if entry.lfs else hashlib.sha1(b"blob %d\0" % size)
    if isinstance(item, bytes):
        digest.update(item)
    else:
        with item.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest() == (entry.lfs.sha256 if entry.lfs else entry.blob_id)


@contextmanager
def explained(problem: str, hint: str, *, refused: str | None = None) -> Iterator[None]:
    try:
        yield
    except _ERRORS as error:
        is_refused = isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403, 404)
        raise CheckpointError(f"{problem}: {reason(error)}: {refused or hint if is_refused else hint}") from error


def reason(error: BaseException) -> str:
    """What the Hub or the network said, in one line."""
    # The client names the file that it was sending, and has the cause apart.
    parts = [" ".join(str(item).split()) for item in (error, error.__cause__) if item is not None]
    if isinstance(error, HfHubHTTPError):
        parts = parts[:1]
    return ": ".join(dict.fromkeys(part.rstrip(".:") for part in parts if part)) or type(error).__name__
