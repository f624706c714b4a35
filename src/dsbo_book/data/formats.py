"""Read the files of the data sets; their checksums matched, and a file of another form is refused.

Nothing that a file holds is run, and nothing is unpacked beyond a size that the data sets keep to.
"""

from __future__ import annotations

import bz2
import codecs
import hashlib
import io
import lzma
import pickle
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbo_book.data.registry import DataCorrupted

LARGEST = 2**28
"""So many bytes a file may have once it is unpacked; the largest original has 47 millions."""
PIECE = 2**12
PACKED: dict[str, Callable[[], Any]] = {
    ".gz": partial(zlib.decompressobj, 16 + zlib.MAX_WBITS),
    ".xz": partial(lzma.LZMADecompressor, memlimit=LARGEST),
    ".bz2": bz2.BZ2Decompressor,
}
SPOILT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    pickle.UnpicklingError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a spoilt file raises."""


class _Part:
    """Stands for whatever a pickle names, and keeps what it is given."""

    def __init__(self, *given: Any) -> None:
        self.given = given

    def __setstate__(self, state: Any) -> None:
        self.state = state


# The one written in Python: that in C makes room for whatever place a file names.
class _Reader(pickle._Unpickler):
    """Reads a pickle and calls nothing that it names but that by which Python 3 writes bytes."""

    def find_class(self, module: str, name: str) -> Any:
        return codecs.encode if (module, name) == ("_codecs", "encode") else _Part


def idx(path: Path) -> NDArray[np.uint8]:
    """Return the bytes in an IDX file, compressed by gzip or xz, in the shape that it states.

    Two zero bytes, the type, the number of axes, their sizes in 32 bits each, and the entries.

    Raises
    ------
    DataCorrupted
        If it is no such file.
    """
    with _refusing(path):
        content = _unpacked(path)
        zeros, kind, axes = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{axes}I", content, 4)
        start = 4 + 4 * axes
        if zeros or kind != 8 or not axes or len(content) - start != prod(shape):
            raise ValueError(f"{len(content)} bytes of type {kind} are not {shape}")
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def cifar(path: Path, sha256: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images ``[n, 3072]``, three planes row by row, and the labels of one batch.

    Raises
    ------
    DataCorrupted
        If the checksum differs, and then it is not unpickled; or if it is no batch of images.
    """
    content = path.read_bytes()
    if (got := hashlib.sha256(content).hexdigest()) != sha256:
        raise DataCorrupted(f"{path} is corrupt: its SHA-256 is {got}, not {sha256}; delete it")
    with _refusing(path):
        batch = _Reader(io.BytesIO(content), encoding="bytes").load()
        labels = batch[b"labels"]
        _, shape, dtype, by_columns, raw = batch[b"data"].state
        if shape != (len(labels), 3072) or dtype.given[0] not in ("u1", b"u1") or by_columns:
            raise ValueError(f"{shape} of {dtype.given} are not {len(labels)} images, row by row")
        if not all(type(label) is int and 0 <= label < 10 for label in labels):
            raise ValueError("its labels are not 0, …, 9")
        images = np.frombuffer(raw, np.uint8).reshape(shape).copy()
        return images, np.array(labels, dtype=np.int64)


def libsvm(path: Path, features: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the dense features ``[n, p]`` and the labels ``[n]`` of a LIBSVM file.

    Raises
    ------
    DataCorrupted
        If it is no such file, or holds a number that is not finite.
    """
    from sklearn.datasets import load_svmlight_file  # slower to import than dsbo itself

    with _refusing(path):
        file = io.BytesIO(_unpacked(path))
        x, y = load_svmlight_file(file, n_features=features, dtype=np.float32, zero_based=False)
        if not (np.isfinite(x.data).all() and np.isfinite(y).all()):
            raise ValueError("a number is not finite")
        return x.toarray(), y


def texts(path: Path) -> dict[str, str]:
    """Return the text of every genre in a zip archive of MASC, or one in xz, without words' tags.

    A member ``categories.txt`` says which genre each of the other members is of.

    Raises
    ------
    DataCorrupted
        If it is no such archive.
    """
    with _refusing(path):
        members = unzipped(io.BytesIO(_unpacked(path)), LARGEST)
        listed = members["masc_tagged/categories.txt"].decode().split()
        genres = dict[str, str]()
        for name, genre in zip(listed[::2], listed[1::2], strict=True):
            tagged = members[f"masc_tagged/{name}"].decode()
            genres[genre] = genres.get(genre, "") + re.sub(r"_[^\s_]+(?=\s|$)", "", tagged)
        return genres


def unzipped(archive: Path | io.BytesIO, largest: int) -> dict[str, bytes]:
    """Return the members of a zip archive, which are together no larger than it says.

    Raises
    ------
    ValueError
        If that is more than ``largest`` bytes; and whatever `zipfile` raises.
    """
    with zipfile.ZipFile(archive) as file:
        require_size(file, largest)
        members = {}
        for member in file.infolist():
            with file.open(member) as packed:
                # In pieces: of one, LZMA unpacks all, also what goes beyond the size that is told.
                members[member.filename] = b"".join(iter(partial(packed.read, PIECE), b""))
    return members


def require_size(file: zipfile.ZipFile, largest: int) -> None:
    """Raise a ValueError if the members of an archive say that they have more bytes together."""
    if (size := sum(member.file_size for member in file.infolist())) > largest:
        raise ValueError(f"an archive of {size} bytes is too large, {largest} is the most")


def member(archive: Path, name: str) -> bytes:
    """Return a file in a tar archive; nothing is written, whatever its members are called.

    Raises
    ------
    DataCorrupted
        If the archive holds no such file.
    """
    with _refusing(archive), tarfile.open(archive) as tar:
        found = tar.extractfile(name)
        return found.read(LARGEST) if found else b""


def _unpacked(path: Path) -> bytes:
    """Return what a file holds, which is one stream from its first byte to its last."""
    content = path.read_bytes()
    if path.suffix not in PACKED:
        return content
    stream = PACKED[path.suffix]()
    unpacked: bytes = stream.decompress(content, LARGEST)
    if stream.unused_data or not stream.eof:
        raise ValueError(f"it does not unpack to its end within {LARGEST} bytes")
    return unpacked


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Say of whatever goes wrong which file it is and what to do."""
    try:
        yield
    except SPOILT as error:
        raise DataCorrupted(
            f"{path} is corrupt: {error!r}; delete it and fetch it again, or put the original there"
        ) from error
