"""Memory: keep what every iteration gives back and asks for again, refuse what cannot fit."""

from __future__ import annotations

import contextlib
import ctypes
import os
from functools import cache

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP = 2**31 - 1


@cache
def keep_freed_memory() -> None:
    """Raise glibc's thresholds for returning memory to the kernel; elsewhere do nothing.

    By default glibc hands buffers of some megabytes back as soon as they are freed, and the kernel
    fills every page with zeros when they are asked for again. An iteration that frees and asks for
    the same ten buffers then spends a third of its time on that.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, KEEP)
        libc.mallopt(M_TRIM_THRESHOLD, KEEP)


def require(needed: int, what: str, device: torch.device) -> None:
    """Raise a MemoryError if ``needed`` bytes are more than the device has altogether.

    Parameters
    ----------
    needed : int
        Bytes.
    what : str
        What they are for, in words.
    device : torch.device
        Where.
    """
    if device.type == "cuda":
        held = torch.cuda.mem_get_info(device)[1]
    else:
        held = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > held:
        raise MemoryError(
            f"{what} need {needed} bytes ({needed / 1e9:.3g} GB), more than the {held / 1e9:.3g} "
            "GB there are; use a method that sends vectors, such as SPARKLE or DSOBA"
        )
