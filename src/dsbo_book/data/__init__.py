"""Real data, each file checked against its published checksum, and ways to deal it out."""

from dsbo_book.data import split, synthetic
from dsbo_book.data.datasets import Dataset, checksums, load, texts
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
    "checksums",
    "find",
    "load",
    "samples",
    "source_of",
    "split",
    "synthetic",
    "texts",
    "verify",
]
