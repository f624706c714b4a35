"""Read IDX files, the format of MNIST and Fashion-MNIST.

    two zero bytes · type code · number of axes · sizes (32 bits each) · entries, last axis fastest

All numbers are big-endian. The file may be compressed by gzip or xz.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read"]

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PACKED = ((b"\x1f\x8b", "gzip", gzip.decompress), (b"\xfd7zXZ\0", "xz", lzma.decompress))
"""How a compressed file begins, and what reads it."""


def read(path: str | Path) -> NDArray[Any]:
    """Return the array in an IDX file, compressed or not, in the machine's byte order.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    ndarray
        Of the shape and type the file states.

    Raises
    ------
    ValueError
        If the file is not IDX, is cut short or has bytes left over.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "three.idx"
    ...     _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    ...     read(file)
    array([7, 8, 9], dtype=uint8)
    """
    path = Path(path)
    content = path.read_bytes()
    for magic, name, unpack in PACKED:
        if content.startswith(magic):
            try:
                content = unpack(content)
            except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
                raise ValueError(f"{path} is a broken {name} file ({error})") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES:
        raise ValueError(f"{path} is not IDX: it begins with {content[:4].hex(' ') or 'nothing'}")
    dtype, axes = np.dtype(TYPES[content[2]]), content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise ValueError(f"{path} is cut short inside its header of {start} bytes; fetch it again")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", axes, offset=4))
    want = start + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(content) != want:
        raise ValueError(
            f"{path} has {len(content)} bytes, but its header {shape} needs {want}; fetch it again"
        )
    return (
        np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    )
