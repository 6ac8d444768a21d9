"""`shim.c` from Python: compile it, start under it, and choose the operation that fails."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

KINDS = ("open", "mkdir", "write", "truncate", "fsync", "rename", "chmod", "link")
_LOADED = "ELECTRA_HF_FAULT_SHIM"


def compiler() -> str | None:
    """The C compiler of the system; None if there is none."""
    return shutil.which("cc") or shutil.which("gcc")


def restart_under_shim() -> None:
    """Start this program again with the shim in front of the C library; returns in the second start."""
    if _LOADED in os.environ:
        # It is in memory by now, and no other process shall have it.
        shutil.rmtree(os.environ.pop(_LOADED))
        del os.environ["LD_PRELOAD"]
        return
    program = compiler()
    if program is None:
        sys.exit("error: there is no C compiler (cc or gcc) for the shim")
    folder = tempfile.mkdtemp()
    library = Path(folder, "shim.so")
    source = Path(__file__).with_name("shim.c")
    subprocess.run([program, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), _LOADED: folder}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


class Shim:
    """The shim that this process was started under.

    Args:
        folder: Only what happens below it counts.
    """

    def __init__(self, folder: Path):
        self.folder = str(folder.resolve())
        self.library = ctypes.CDLL(None)
        self.library.fault_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
        for name in ("fault_operations", "fault_count", "fault_bytes"):
            getattr(self.library, name).restype = ctypes.c_long
        self.library.fault_failed_path.restype = ctypes.c_char_p

    def arm(self, nth: int = 0, error: int = 0, onwards: bool = False) -> None:
        """Count from now on, and fail the nth operation.

        Args:
            nth: From 1; 0 only counts.
            error: The errno it fails with.
            onwards: Fail all operations after it, too, as a disk that stays full.
        """
        self.library.fault_arm(self.folder.encode(), nth, error, int(onwards))

    def disarm(self) -> None:
        """Let everything pass; what was counted stays."""
        self.library.fault_disarm()

    @property
    def operations(self) -> Counter[str]:
        """How many operations of each kind there were since `arm`."""
        return Counter({kind: number for i, kind in enumerate(KINDS) if (number := self.library.fault_count(i))})

    @property
    def bytes_written(self) -> int:
        """Since `arm`."""
        return self.library.fault_bytes()

    @property
    def failed(self) -> tuple[str, str] | None:
        """Kind and path of the operation that failed; None if it was not reached."""
        kind = self.library.fault_failed_kind()
        return None if kind < 0 else (KINDS[kind], self.library.fault_failed_path().decode())
