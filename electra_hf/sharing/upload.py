"""A fine-tuned model to the Hub."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from electra_hf.errors import CheckpointError

# What belongs to the run and not to the model: single seeds, checkpoints, a search.
_RUN_ONLY = ["seed-*/**", "checkpoint-*/**", "hpo*", "hpo/**", "*.db"]


def upload_model(folder: Path, repo_id: str, *, private: bool | None = None) -> str:
    """Upload the model of a finished run, with its card and results, as one commit.

    Args:
        folder: The output folder of the run.
        repo_id: `name` or `owner/name` of the repository; it is made if need be.
        private: Whether a new repository is private; None for the account's own setting.

    Returns:
        The address of the commit.

    Raises:
        CheckpointError: If the Hub cannot be reached or refuses; the run itself is complete in `folder`.
    """
    api = HfApi()
    try:
        target = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        commit = api.upload_folder(
            folder_path=folder, repo_id=target, commit_message="Upload fine-tuned model", ignore_patterns=_RUN_ONLY
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{folder} is complete, but could not be uploaded to {repo_id}: {error}. Log in with `hf auth login`, "
            f"then `hf upload {repo_id} {folder}`"
        ) from error
    return str(commit)
