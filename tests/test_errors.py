"""What a user sees of an error."""

import pytest
from torch.utils.data import DataLoader, Dataset

from electra_hf.errors import PreparationError, run_script


class Damaged(Dataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        raise PreparationError("blocks.npy: damaged: prepare it again")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_loader_worker_reads_like_any_other(workers: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run_script(lambda: list(DataLoader(Damaged(), num_workers=workers)) and None)
    assert left.value.code == 1
    assert capsys.readouterr().err == "error: blocks.npy: damaged: prepare it again\n"
