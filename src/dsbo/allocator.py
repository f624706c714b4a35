"""Let the C library keep the memory that every iteration gives back and asks for again."""

from __future__ import annotations

import contextlib
import ctypes
from functools import cache

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
