"""The data sets of the book: labelled samples, each as the same five things, and texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsbo_book.data import formats
from dsbo_book.data.registry import SOURCES, find, samples, source_of

__all__ = ["Dataset", "checksums", "load", "texts"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples to train and to test on.

    Attributes
    ----------
    x_train, x_test : torch.Tensor, float32, [n, p]
        Features between 0 and 1, an image row by row.
    y_train, y_test : torch.Tensor, int64, [n]
        Labels 0, …, classes - 1.
    classes : int
        Number of classes.
    """

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: int


def load(name: str) -> Dataset:
    """Return a data set by its name; ``<name>-sample`` is what comes of it with the package.

    Of MNIST 3600 and 400 images, of Fashion-MNIST 5000 and 500, drawn at random, classes in
    proportion; of a9a all rows; of CIFAR-10, whose makers give no licence to pass it on, none.

    Parameters
    ----------
    name : str
        Such as ``mnist`` or ``mnist-sample``.

    Raises
    ------
    DataUnavailable, DataCorrupted
        If the original, or the sample, is not there or is another file.
    ValueError
        If there is no such data set, or it is MASC, which is `texts`.

    Examples
    --------
    >>> load("mnist-sample").x_train.shape
    torch.Size([3600, 784])
    """
    original = name.removesuffix("-sample")
    source_of(original)
    if original == "masc":
        raise ValueError("masc holds texts, no labelled samples; read it by data.texts")
    if original == "a9a":
        return _a9a(samples("a9a"))
    if name != original:
        return _idx(samples(original))
    return _cifar10(find(name)) if name == "cifar10" else _idx(find(name))


def texts(name: str) -> dict[str, str]:
    """Return the text of every genre of MASC; of ``masc-sample`` what comes with the package.

    Parameters
    ----------
    name : str
        ``masc`` or ``masc-sample``.

    Raises
    ------
    DataUnavailable, DataCorrupted
        If the original, or the sample, is not there or is another file.
    ValueError
        If it is no data set of texts.

    Examples
    --------
    >>> sorted(texts("masc-sample"))[:3]
    ['blog', 'court-transcript', 'debate-transcript']
    """
    if name.removesuffix("-sample") != "masc":
        raise ValueError(f"{name!r} holds no texts; give masc or masc-sample")
    paths = find(name) if name == "masc" else samples("masc")
    return formats.texts(*paths.values())


def checksums(name: str) -> dict[str, str]:
    """Return the SHA-256 of every file of what `load` returns; the files need not be here.

    Parameters
    ----------
    name : str
        As for `load`.

    Raises
    ------
    ValueError
        If there is no such data set.

    Examples
    --------
    >>> list(checksums("a9a"))
    ['a9a', 'a9a.t']
    """
    original = name.removesuffix("-sample")
    source = source_of(original)
    return source.files if name == original else source.sample_files


def _cifar10(paths: dict[str, Path]) -> Dataset:
    """Read five batches to train and one to test on; an image is [3, 32, 32], laid out flat."""
    batches = [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]
    sums = SOURCES["cifar10"].files
    images, labels = zip(*(formats.cifar(paths[f], sums[f]) for f in batches), strict=True)
    x, y = np.concatenate(images[:5]), np.concatenate(labels[:5])
    return Dataset(_unit(x), _labels(y), _unit(images[5]), _labels(labels[5]), classes=10)


def _a9a(paths: dict[str, Path]) -> Dataset:
    """Read 123 yes-or-no features; label 1, written +1, is an income above 50 000 dollars."""
    files = [paths[name] for name in ("a9a.bz2", "a9a.t.bz2")]
    (x, y), (x_test, y_test) = (formats.libsvm(file, 123) for file in files)
    parts = torch.from_numpy(x), _labels(y > 0), torch.from_numpy(x_test), _labels(y_test > 0)
    return Dataset(*parts, classes=2)


def _idx(paths: dict[str, Path]) -> Dataset:
    """Read the four files, in the order of their names: test images and labels, then training."""
    x_test, y_test, x_train, y_train = (formats.idx(paths[file]) for file in sorted(paths))
    return Dataset(_unit(x_train), _labels(y_train), _unit(x_test), _labels(y_test), 10)


def _unit(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1)).to(torch.float32).div_(255)


def _labels(labels: NDArray[Any]) -> Tensor:
    return torch.from_numpy(labels).to(torch.int64)
