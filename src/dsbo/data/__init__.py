"""Real data, each file checked against its published checksum, and ways to deal it out."""

import warnings

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # Pooch, which scikit-learn imports too, prefers tqdm's bar for notebooks, and that complains
    # where ipywidgets is not installed.
    warnings.simplefilter("ignore", TqdmWarning)
    import pooch  # noqa: F401

from dsbo.data import split, synthetic
from dsbo.data.datasets import Dataset, a9a, cifar10, digits, fashion_mnist, mnist
from dsbo.data.registry import NAMES, DataCorrupted, DataUnavailable, fetch, verify

__all__ = [
    "NAMES",
    "DataCorrupted",
    "DataUnavailable",
    "Dataset",
    "a9a",
    "cifar10",
    "digits",
    "fashion_mnist",
    "fetch",
    "mnist",
    "split",
    "synthetic",
    "verify",
]
