"""Two processes compute the gradient of one, in every family."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import tiny_families

from electra_hf.models.backbones import BACKBONES

WORKER = Path(tiny_families.__file__)


def test_two_processes_equal_one(tmp_path):
    tiny_families.main(str(tmp_path / "one.json"))
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    done = subprocess.run(
        [sys.executable, *launcher, str(WORKER), str(tmp_path / "two.json")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (tmp_path / "two.json").is_file(), done.stderr[-3000:]
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert one.keys() == two.keys() == BACKBONES.keys()
    for model_type, gradients in one.items():
        assert gradients.keys() == two[model_type].keys()
        # Some gradients are zero but for rounding: those of the biases of keys.
        largest = max(values[-1] for values in gradients.values())
        for name, values in gradients.items():
            np.testing.assert_allclose(
                two[model_type][name], values, rtol=1e-3, atol=1e-6 * largest, err_msg=f"{model_type} {name}"
            )
