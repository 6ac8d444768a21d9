"""Both sets of operations, where there is a compiler."""

import pytest

from electra_hf.models.fused import KernelError, TorchOperations, native_operations


@pytest.fixture(params=["PyTorch", "compiled"])
def operations(request):
    if request.param == "PyTorch":
        return TorchOperations()
    try:
        return native_operations()
    except KernelError as error:
        pytest.skip(f"no compiled kernels here: {error}")
