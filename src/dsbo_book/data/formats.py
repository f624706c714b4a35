"""Read the files of the data sets. Their checksums matched, so that nothing else is checked."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbo_book.data.registry import DataCorrupted


def idx(path: Path) -> NDArray[np.uint8]:
    """Return the bytes in an IDX file, compressed by gzip or xz, in the shape that it states.

    Two zero bytes, the type, the number of axes, their sizes in 32 bits each, and the entries.
    """
    content = (lzma if path.suffix == ".xz" else gzip).open(path).read()
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()


def cifar(path: Path, sha256: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images ``[n, 3072]``, three planes row by row, and the labels of one batch.

    Raises
    ------
    DataCorrupted
        If the checksum differs. A pickle may run code, so it is not unpickled then.
    """
    content = path.read_bytes()
    if (got := hashlib.sha256(content).hexdigest()) != sha256:
        raise DataCorrupted(f"{path} is corrupt: its SHA-256 is {got}, not {sha256}; delete it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy minds how pickles of Python 2 write a dtype
        batch: dict[bytes, Any] = pickle.loads(content, encoding="bytes")
    return batch[b"data"], np.asarray(batch[b"labels"], dtype=np.int64)


def libsvm(path: Path, features: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the dense features ``[n, p]`` and the labels ``[n]`` of a LIBSVM file."""
    from sklearn.datasets import load_svmlight_file  # slower to import than dsbo itself

    x, y = load_svmlight_file(str(path), n_features=features, dtype=np.float32, zero_based=False)
    return x.toarray(), y
