"""Make the samples that come with the package from the originals, which ``DSBO_DATA`` must hold.

    DSBO_DATA=folder python bench/samples.py

Images are drawn at random without replacement, every class as often in proportion as in the
original, and shuffled. The rows of a9a are all there, and the first
characters of each genre of MASC. ``sources.json`` gets the checksums.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import lzma
import re
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbo_book.data import formats, registry

HERE = registry.SAMPLES
SIZES = {
    "fashion_mnist": {"train": 5000, "t10k": 500},
    "mnist": {"train": 3600, "t10k": 400},
}
TEXT = {"technical": 32_000}
SEED = 0


def drawn(labels: NDArray[np.integer], n: int, seed: int) -> NDArray[np.integer]:
    """Return the numbers of n samples, classes in proportion, in random order."""
    rng = np.random.default_rng(seed)
    names, counts = np.unique(labels, return_counts=True)
    wish = counts * n / counts.sum()
    sizes = np.floor(wish).astype(int)
    sizes[np.argsort(sizes - wish, kind="stable")[: n - sizes.sum()]] += 1
    parts = [
        rng.choice(np.flatnonzero(labels == name), size, replace=False)
        for name, size in zip(names, sizes, strict=True)
    ]
    return rng.permutation(np.concatenate(parts))


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """Return an IDX file of bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def images() -> Iterator[tuple[str, str, bytes]]:
    """Give the data set, the name and the content of every IDX file."""
    for name, parts in SIZES.items():
        paths = registry.find(name)
        for part, n in parts.items():
            files = [f"{part}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
            x, y = (formats.idx(paths[file]) for file in files)
            chosen = drawn(y, n, SEED)
            for file, array in zip(files, (x, y), strict=True):
                content = idx_bytes(array[chosen])
                packed = lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)
                yield name, file.replace(".gz", ".xz"), packed


def rows() -> Iterator[tuple[str, str, bytes]]:
    """Give both files of a9a, packed whole."""
    for file, path in registry.find("a9a").items():
        yield "a9a", file + ".bz2", bz2.compress(path.read_bytes())


def texts() -> Iterator[tuple[str, str, bytes]]:
    """Give the beginning of every genre of MASC, of the target of the experiment more, untagged."""
    (path,) = registry.find("masc").values()
    genres = {g: text[: TEXT.get(g, 8_000)] for g, text in formats.texts(path).items()}
    # A word that looks tagged gets a tag that is left out when it is read.
    tagged = {genre: re.sub(r"(_[^\s_]+)(?=\s|$)", r"\1_X", t) for genre, t in genres.items()}
    members = {f"masc_tagged/{genre}.txt": text for genre, text in tagged.items()}
    listed = "".join(f"{genre}.txt {genre}\n" for genre in genres)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, text in {"masc_tagged/categories.txt": listed, **members}.items():
            file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    content = lzma.compress(packed.getvalue(), preset=9 | lzma.PRESET_EXTREME)
    yield "masc", "masc.zip.xz", content


def main() -> None:
    """Write the samples and their checksums."""
    listed: dict[str, Any] = json.loads((HERE / "sources.json").read_text("utf-8"))
    for name, file, packed in (*images(), *rows(), *texts()):
        (HERE / name).mkdir(exist_ok=True)
        (HERE / name / file).write_bytes(packed)
        listed[name]["sample_files"][file] = hashlib.sha256(packed).hexdigest()
        print(f"{name}/{file}: {len(packed)} bytes")
    text = json.dumps(listed, indent=2, ensure_ascii=False)
    (HERE / "sources.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
