"""Real data, each file checked against its published checksum, and ways to deal it out."""

from dsbo_book.data import split, synthetic
from dsbo_book.data.datasets import (
    Dataset,
    a9a,
    checksums,
    cifar10,
    fashion_mnist,
    load,
    mnist,
    sample,
)
from dsbo_book.data.registry import (
    NAMES,
    DataCorrupted,
    DataUnavailable,
    find,
    samples,
    source_of,
    verify,
)

__all__ = [
    "NAMES",
    "DataCorrupted",
    "DataUnavailable",
    "Dataset",
    "a9a",
    "checksums",
    "cifar10",
    "fashion_mnist",
    "find",
    "load",
    "mnist",
    "sample",
    "samples",
    "source_of",
    "split",
    "synthetic",
    "verify",
]
