"""The data sets of the book, each as the same five things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsbo.data import cifar, idx, libsvm
from dsbo.data.registry import SOURCES, fetch

__all__ = ["Dataset", "a9a", "cifar10", "digits", "fashion_mnist", "mnist"]


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


def mnist() -> Dataset:
    """Return MNIST: 60 000 and 10 000 handwritten digits of 28 × 28, 10 classes.

    Raises
    ------
    DataUnavailable, DataCorrupted
        See :func:`dsbo.data.fetch`.
    """
    return _idx("mnist")


def fashion_mnist() -> Dataset:
    """Return Fashion-MNIST: 60 000 and 10 000 pieces of clothing of 28 × 28, 10 classes.

    Raises
    ------
    DataUnavailable, DataCorrupted
        See :func:`dsbo.data.fetch`.
    """
    return _idx("fashion_mnist")


def cifar10() -> Dataset:
    """Return CIFAR-10: 50 000 and 10 000 colour images, [3, 32, 32] laid out flat, 10 classes.

    Raises
    ------
    DataUnavailable, DataCorrupted
        See :func:`dsbo.data.fetch`.
    """
    paths, sums = fetch("cifar10"), SOURCES["cifar10"].files
    train = [f"data_batch_{k}" for k in range(1, 6)]
    images, labels = zip(*(cifar.read(paths[f], sums[f]) for f in train), strict=True)
    x_test, y_test = cifar.read(paths["test_batch"], sums["test_batch"])
    return Dataset(
        _unit(np.concatenate(images), 255),
        _labels(np.concatenate(labels)),
        _unit(x_test, 255),
        _labels(y_test),
        classes=10,
    )


def a9a() -> Dataset:
    """Return a9a: 32 561 and 16 281 persons with 123 yes-or-no features, 2 classes.

    Label 1 (written +1 in the file) is an income above 50 000 dollars.

    Raises
    ------
    DataUnavailable, DataCorrupted
        See :func:`dsbo.data.fetch`.
    """
    paths = fetch("a9a")
    (x_train, y_train), (x_test, y_test) = (
        libsvm.read(paths[f], features=123) for f in ("a9a", "a9a.t")
    )
    return Dataset(
        torch.from_numpy(x_train),
        _labels(y_train > 0),
        torch.from_numpy(x_test),
        _labels(y_test > 0),
        classes=2,
    )


def digits() -> Dataset:
    """Return scikit-learn's bundled digits: 1500 and 297 images of 8 × 8, 10 classes.

    Needs no download, so pages fall back on it; the split is fixed.

    Examples
    --------
    >>> data = digits()
    >>> data.x_train.shape, data.y_test.shape, data.classes
    (torch.Size([1500, 64]), torch.Size([297]), 10)
    """
    from sklearn.datasets import load_digits  # slower to import than dsbo itself

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:1500], order[1500:]
    return Dataset(
        _unit(x[train], 16), _labels(y[train]), _unit(x[test], 16), _labels(y[test]), classes=10
    )


def _idx(name: str) -> Dataset:
    paths = fetch(name)
    images = [idx.read(paths[f"{part}-images-idx3-ubyte.gz"]) for part in ("train", "t10k")]
    labels = [idx.read(paths[f"{part}-labels-idx1-ubyte.gz"]) for part in ("train", "t10k")]
    return Dataset(
        _unit(images[0], 255), _labels(labels[0]), _unit(images[1], 255), _labels(labels[1]), 10
    )


def _unit(images: NDArray[Any], top: int) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1)).to(torch.float32).div_(top)


def _labels(labels: NDArray[Any]) -> Tensor:
    return torch.from_numpy(labels).to(torch.int64)
