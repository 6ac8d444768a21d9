"""A fine-tuned model to the Hub."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from electra_hf.errors import CheckpointError

# What belongs to the run and not to the model: single seeds, checkpoints, a search.
RUN_ONLY = ("seed-*/**", "checkpoint-*/**", "*-checkpoint-*/**", "hpo*", "hpo/**", "*.db")
# Of the library that huggingface_hub talks with, httpx or its successor: what a network out of reach raises.
_NETWORK_ERROR: type[BaseException] = HfHubHTTPError.__bases__[0]


def upload_command(folder: str | Path, repo_id: str) -> str:
    """The command that uploads the same files."""
    excluded = [word for pattern in RUN_ONLY for word in ("--exclude", pattern)]
    return shlex.join(["hf", "upload", repo_id, str(folder), ".", *excluded])


def check_hub(repo_id: str, *, token: str | None = None) -> str:
    """Ask the Hub who we are, before a training whose model is to be uploaded.

    Args:
        repo_id: Where the model will go, for the message.
        token: Access token; None for the one of `hf auth login` or of HF_TOKEN.

    Returns:
        The whole name of the repository, with its owner.

    Raises:
        CheckpointError: If the Hub does not answer, or does not know the token.
    """
    problem = f"--push_to_hub: the model could not be uploaded to {repo_id}"
    with _explained(problem, "log in with `hf auth login`, give --hub_token, or leave out --push_to_hub"):
        user = HfApi(token=token).whoami()["name"]
    return repo_id if "/" in repo_id else f"{user}/{repo_id}"


def upload_model(
    folder: Path, repo_id: str, *, private: bool | None = None, token: str | None = None, revision: str | None = None
) -> str:
    """Upload the model of a finished run, with its card and results, as one commit.

    Args:
        folder: The output folder of the run.
        repo_id: `name` or `owner/name` of the repository; it is made if need be.
        private: Whether a new repository is private; None for the account's own setting.
        token: Access token; None for the one of `hf auth login` or of HF_TOKEN.
        revision: Branch, which is made if need be; None for the main one.

    Returns:
        The address of the commit.

    Raises:
        CheckpointError: If the Hub cannot be reached or refuses; the run itself is complete in `folder`.
    """
    api = HfApi(token=token)
    with _explained(
        f"{folder} is complete, but could not be uploaded to {repo_id}",
        f"log in with `hf auth login`, then `{upload_command(folder, repo_id)}`",
    ):
        target = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if revision is not None:
            api.create_branch(target, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            folder_path=folder,
            repo_id=target,
            revision=revision,
            commit_message="Upload fine-tuned model",
            ignore_patterns=list(RUN_ONLY),
        )
    return str(commit)


@contextmanager
def _explained(problem: str, hint: str) -> Iterator[None]:
    try:
        yield
    except (HfHubHTTPError, _NETWORK_ERROR, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{problem}: {reason}: {hint}") from error
