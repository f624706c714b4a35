"""Read the batches of CIFAR-10, which are pickles of Python 2.

A pickle may run code, so a batch is unpickled only after its SHA-256 matched, and then only with
the few names that NumPy arrays need.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbo_book.data.registry import DataCorrupted

__all__ = ["PIXELS", "read"]

PIXELS = 3 * 32 * 32


def read(path: str | Path, sha256: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images and labels of one batch.

    Parameters
    ----------
    path : path-like
        The batch.
    sha256 : str
        What its checksum must be.

    Returns
    -------
    images : ndarray, uint8, [n, 3072]
        Red, green, blue planes of 32 × 32, each row by row.
    labels : ndarray, int64, [n]
        0 to 9.

    Raises
    ------
    DataCorrupted
        If the checksum differs; the file is not unpickled then.
    ValueError
        If the batch does not hold images and labels.
    """
    content = Path(path).read_bytes()
    if (got := hashlib.sha256(content).hexdigest()) != sha256:
        raise DataCorrupted(
            f"{path} is corrupt: its SHA-256 is {got}, not {sha256}; it was not read, delete it"
        )
    batch = _Arrays(io.BytesIO(content), encoding="bytes").load()
    try:
        images, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], dtype=np.int64)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a CIFAR-10 batch: it lacks data or labels") from error
    if images.dtype != np.uint8 or images.shape != (len(labels), PIXELS):
        raise ValueError(f"{path} holds {images.dtype} {images.shape}, not bytes [n, {PIXELS}]")
    return images, labels


class _Arrays(pickle.Unpickler):
    """An unpickler that knows arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _reconstruct
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return _dtype
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise pickle.UnpicklingError(f"{module}.{name} does not belong in a CIFAR-10 batch")


def _reconstruct(_: type, shape: tuple[int, ...], code: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.ndarray.__new__(np.ndarray, shape, code.decode())
    return array


def _dtype(code: str | bytes, *_: int) -> np.dtype[Any]:
    # NumPy warns about the integers that old pickles give for the other two arguments
    return np.dtype(code.decode() if isinstance(code, bytes) else code)


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    return text.encode(encoding)
