"""The data sets of the book, each as the same five things."""

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

__all__ = ["Dataset", "a9a", "checksums", "cifar10", "fashion_mnist", "load", "mnist", "sample"]


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

    Parameters
    ----------
    name : str
        Such as ``mnist`` or ``mnist-sample``.

    Raises
    ------
    DataUnavailable, DataCorrupted
        If the original, or the sample, is not there or is another file.
    ValueError
        If there is no such data set.

    Examples
    --------
    >>> load("mnist-sample").x_train.shape
    torch.Size([3600, 784])
    """
    original = name.removesuffix("-sample")
    source_of(original)
    if name != original:
        return sample(original)
    return {"mnist": mnist, "fashion_mnist": fashion_mnist, "cifar10": cifar10, "a9a": a9a}[name]()


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


def sample(name: str) -> Dataset:
    """Return what comes of a data set with the package, drawn at random, classes in proportion.

    Of MNIST 3600 and 400 images, of Fashion-MNIST 5000 and 500, of a9a all rows.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Raises
    ------
    DataUnavailable
        If there is no sample, as of CIFAR-10, whose makers give no licence to pass it on.
    DataCorrupted
        If a file is not the one that came with the package.
    ValueError
        If the name is not one of `NAMES`.
    """
    return a9a() if name == "a9a" else _idx(samples(name))


def mnist() -> Dataset:
    """Return MNIST: 60 000 and 10 000 handwritten digits of 28 × 28, 10 classes.

    Raises
    ------
    DataUnavailable, DataCorrupted
        See :func:`dsbo_book.data.find`.
    """
    return _idx(find("mnist"))


def fashion_mnist() -> Dataset:
    """Return Fashion-MNIST: 60 000 and 10 000 pieces of clothing of 28 × 28, 10 classes.

    Raises
    ------
    DataUnavailable, DataCorrupted
        See :func:`dsbo_book.data.find`.
    """
    return _idx(find("fashion_mnist"))


def cifar10() -> Dataset:
    """Return CIFAR-10: 50 000 and 10 000 colour images, [3, 32, 32] laid out flat, 10 classes.

    Raises
    ------
    DataUnavailable, DataCorrupted
        See :func:`dsbo_book.data.find`.
    """
    paths, sums = find("cifar10"), SOURCES["cifar10"].files
    train = [f"data_batch_{k}" for k in range(1, 6)]
    images, labels = zip(*(formats.cifar(paths[f], sums[f]) for f in train), strict=True)
    x_test, y_test = formats.cifar(paths["test_batch"], sums["test_batch"])
    return Dataset(
        _unit(np.concatenate(images)),
        _labels(np.concatenate(labels)),
        _unit(x_test),
        _labels(y_test),
        classes=10,
    )


def a9a() -> Dataset:
    """Return a9a: 32 561 and 16 281 persons with 123 yes-or-no features, 2 classes.

    Label 1 (written +1 in the file) is an income above 50 000 dollars. All of it comes with the
    package.

    Raises
    ------
    DataUnavailable, DataCorrupted
        See :func:`dsbo_book.data.samples`.
    """
    paths = samples("a9a")
    (x_train, y_train), (x_test, y_test) = (
        formats.libsvm(paths[f], 123) for f in ("a9a.bz2", "a9a.t.bz2")
    )
    return Dataset(
        torch.from_numpy(x_train),
        _labels(y_train > 0),
        torch.from_numpy(x_test),
        _labels(y_test > 0),
        classes=2,
    )


def _idx(paths: dict[str, Path]) -> Dataset:
    """Read the four files, in the order of their names: test images and labels, then training."""
    x_test, y_test, x_train, y_train = (formats.idx(paths[file]) for file in sorted(paths))
    return Dataset(_unit(x_train), _labels(y_train), _unit(x_test), _labels(y_test), 10)


def _unit(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1)).to(torch.float32).div_(255)


def _labels(labels: NDArray[Any]) -> Tensor:
    return torch.from_numpy(labels).to(torch.int64)
