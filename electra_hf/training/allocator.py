"""Keep freed memory in the process: glibc's malloc gives it back, and every step has to fetch it anew.

A step on the CPU takes and frees the same hundreds of megabytes each time. glibc maps large blocks one by one and
unmaps them when they are freed, and gives back what is free at the end of its heap; the kernel then clears every page
once more for the next step: about 240,000 page faults a step of ELECTRA-small with 32 x 128 tokens, and a fifth of its
time (docs/performance.md). `mallopt` turns this off in the running process, also under torchrun and in notebooks; it
does what MALLOC_MMAP_MAX_=0, MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_ do for a process that is still to be started.
The price: memory that was once used stays with the process.
"""

import ctypes
import logging
import os
import platform

logger = logging.getLogger(__name__)

# Parameters of mallopt, from glibc's malloc.h, with what they are set to.
_OPTIONS = {
    -4: 0,  # M_MMAP_MAX: no block is mapped by itself
    -1: -1,  # M_TRIM_THRESHOLD: nothing is given back
    -2: 512 * 2**20,  # M_TOP_PAD: the heap grows in large steps
}
_NAMES = ("mmap_max", "mmap_threshold", "trim_threshold", "top_pad")


def tune_allocator() -> bool:
    """Let the process keep the memory that it frees, if glibc's malloc is in use and the user has not tuned it.

    Returns:
        Whether it was done: not with another C library (musl, macOS, Windows), another allocator (a preloaded jemalloc
        or tcmalloc), or if MALLOC_* variables or GLIBC_TUNABLES set one of the same parameters.
    """
    if platform.libc_ver()[0] != "glibc" or _set_by_user():
        return False
    libc = ctypes.CDLL("libc.so.6")
    if _address(ctypes.CDLL(None).malloc) != _address(libc.malloc):
        return False  # the process takes its memory from elsewhere
    if not all(libc.mallopt(option, value) for option, value in _OPTIONS.items()):
        return False
    logger.debug("freed memory stays in the process (--tune_allocator)")
    return True


def _set_by_user() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return any(f"MALLOC_{name.upper()}_" in os.environ or f"glibc.malloc.{name}=" in tunables for name in _NAMES)


def _address(function: object) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value  # pyright: ignore[reportArgumentType]
