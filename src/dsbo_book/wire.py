"""What the kernel counted at the sockets of this process."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from pathlib import Path

BYTES_RECEIVED = 128
"""Offset of tcpi_bytes_received in Linux's struct tcp_info."""


def bytes_received() -> int:
    """Return the payload bytes that all TCP sockets of this process have received so far.

    Headers of TCP and IP are not in it, those of the backend are.

    Raises
    ------
    OSError
        If the kernel does not tell; only Linux does.
    """
    if sys.platform != "linux":
        raise OSError("only Linux tells what a TCP socket received")
    total = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if str(entry.readlink()).startswith("socket:"):
                total += _received(int(entry.name))
    return total


def _received(descriptor: int) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as found:
        internet = found.family in (socket.AF_INET, socket.AF_INET6)
        if not (internet and found.type == socket.SOCK_STREAM):
            return 0
        told = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_RECEIVED + 8)
    if len(told) < BYTES_RECEIVED + 8:
        raise OSError("this kernel does not tell what a TCP socket received")
    received: int = struct.unpack_from("=Q", told, BYTES_RECEIVED)[0]
    return received
