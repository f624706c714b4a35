"""A record: all traces of an experiment in one file that NumPy opens, too.

    runs.json          {"format": 2, "runs": [{"name", "rows", "columns", "kept", "provenance"}, …]}
    <column>.npy       one column of all runs that have it, one after another
    xbar/<name>.npy    the final mean x̄ of a run that kept it

The file is a zip archive, an ``.npz``. A column of floating-point numbers that single precision
holds exactly is stored in it: no digit is lost, but those of times below a thousandth of a second.
"""

from __future__ import annotations

import json
import lzma
import math
import numbers
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsbo.trace import Trace, TraceError, replacing
from dsbo_book.data.formats import require_size, unzipped

__all__ = ["FORMAT", "SUFFIX", "Record", "read", "shortened", "write"]

FORMAT = 2
SUFFIX = ".npz"
TICKS = 2**10
"""Parts of a second that are kept: what is finer says nothing of a run and does not compress."""
LARGEST = 2**30
"""So many bytes a record may have once it is unpacked; the paper's have at most five millions."""
BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    StopIteration,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a spoilt file raises besides the usual."""
HEAD = re.compile(
    rb"\x93NUMPY\x01\x00..{'descr': '(<[fi][248])', 'fortran_order': False, "
    rb"'shape': \((\d+),\), } *\n",
    re.DOTALL,
)
"""What NumPy writes before a line of numbers."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that equal records are equal files."""


class Record(NamedTuple):
    """What a file holds.

    Parameters
    ----------
    traces : dict of str to Trace
        By name of the run, without final states.
    kept : dict of str to ndarray
        The final x̄ ``[d]`` of the runs that kept it.
    """

    traces: dict[str, Trace]
    kept: dict[str, NDArray[Any]]


def write(path: str | Path, traces: Mapping[str, Trace], kept: Mapping[str, Any]) -> Path:
    """Write a record, atomically.

    Every row is kept as `shortened` gives it.

    Parameters
    ----------
    path : path
        The file, ``.npz``.
    traces : mapping of str to Trace
        By name of the run.
    kept : mapping of str to array_like
        Final x̄ of some of them.

    Raises
    ------
    ValueError
        If the rows of a trace have different columns, or none, a value is no number that a file can
        hold, or there are more than a record may have.
    OSError
        If the file cannot be written; an earlier version is then untouched.
    """
    runs: list[dict[str, Any]] = []
    columns: dict[str, list[Any]] = {}
    for name, trace in traces.items():
        own = list(trace.rows[0]) if trace.rows else []
        if any(not row or list(row) != own for row in trace.rows):
            raise ValueError(f"the rows of {name} do not all have the columns {', '.join(own)}")
        run = {"name": name, "rows": len(trace.rows), "columns": own, "kept": name in kept}
        runs.append({**run, "provenance": trace.provenance})
        for row in map(shortened, trace.rows):
            for column, value in row.items():
                columns.setdefault(column, []).append(value)
    told = json.dumps({"format": FORMAT, "runs": runs}, sort_keys=True, ensure_ascii=False)
    path = Path(path)
    with replacing(path) as part, zipfile.ZipFile(part, "w") as file:
        file.writestr(_member("runs.json"), told)
        for column, values in columns.items():
            _write_array(file, column, _column(column, values))
        for name, xbar in kept.items():
            _write_array(file, f"xbar/{name}", np.asarray(xbar))
        require_size(file, LARGEST)
    return path


def shortened(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a trace as a record keeps it.

    Times to 1/1024 s, and how far agents are apart in single precision: neither is a result to the
    last digit, and all records travel with the package.
    """
    shorter = {"seconds": _ticks, "consensus_x": _single, "consensus_y": _single}
    return {**row, **{name: shorter[name](row[name]) for name in shorter.keys() & row.keys()}}


def read(path: str | Path) -> Record:
    """Read a record that `write` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TraceError
        If the file is not a record, only part of one, or of a format that this version does not
        know.
    """
    try:
        members = unzipped(Path(path), LARGEST)
        told = json.loads(members.pop("runs.json"))
        if told["format"] != FORMAT:
            raise TraceError(
                f"{path} has format {told['format']}; this version of dsbo reads {FORMAT}. "
                "Move it away and make it anew with dsbo run, or use the version that wrote it"
            )
        runs = told["runs"]
        arrays = {name.removesuffix(".npy"): _array(name, raw) for name, raw in members.items()}
        kept = {run["name"]: arrays.pop(f"xbar/{run['name']}") for run in runs if run["kept"]}
        return Record(_traces(runs, arrays), kept)
    except (FileNotFoundError, IsADirectoryError, PermissionError, TraceError):
        raise
    except (*BROKEN, OSError, TypeError, ValueError) as error:
        raise TraceError(
            f"{path} is not a record: {error!r}. Make it anew with dsbo run, or restore it from a "
            "copy"
        ) from error


def _array(name: str, raw: bytes) -> NDArray[Any]:
    """Return a line of numbers; whatever else NumPy would read, such as a pickle, is refused."""
    head = HEAD.match(raw)
    if head is None:
        raise ValueError(f"{name} holds no line of numbers")
    array = np.frombuffer(raw, head[1].decode(), offset=head.end()).copy()
    if len(array) != int(head[2]):
        raise ValueError(f"{name} holds {len(array)} numbers, not {int(head[2])}")
    return array


def _traces(runs: list[dict[str, Any]], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Trace]:
    """Hand every run the next of each of its columns."""
    columns = {name: iter(array.tolist()) for name, array in arrays.items()}
    traces: dict[str, Trace] = {}
    for run in runs:
        name, own, told = run["name"], run["columns"], run["provenance"]
        if not (isinstance(name, str) and isinstance(own, list) and isinstance(told, dict)):
            raise TypeError(f"the run {name!r} is not described as a run")
        if name in traces or (run["rows"] and not own):
            raise ValueError(f"the run {name!r} is there twice, or has rows without columns")
        rows = [{column: next(columns[column]) for column in own} for _ in range(run["rows"])]
        traces[name] = Trace(rows, told)
    left = [name for name, values in columns.items() if next(values, None) is not None]
    if left:
        raise ValueError(f"more values of {', '.join(left)} than the runs have rows")
    return traces


def _ticks(seconds: Any) -> Any:
    """Return a time of whole ticks; what is no finite number stays, for `_column` to judge."""
    finite = isinstance(seconds, numbers.Real) and math.isfinite(seconds)
    return round(seconds * TICKS) / TICKS if finite else seconds


def _single(value: Any) -> Any:
    """Return a number in single precision; what does not fit stays."""
    if not isinstance(value, float) or not abs(value) < float(np.finfo(np.float32).max):
        return value
    return float(np.float32(value))


def _column(name: str, values: list[Any]) -> NDArray[Any]:
    """Return the values as integers, or in the shortest precision that holds them exactly."""
    odd = [value for value in values if not isinstance(value, numbers.Real)]
    if odd:
        raise ValueError(f"column {name!r} holds {odd[0]!r}, which is no number")
    if "/" in name:
        raise ValueError(f"a column cannot be called {name!r}: leave out the slash")
    whole = all(isinstance(value, numbers.Integral) for value in values)
    try:
        exact = np.array(values, dtype=np.int64 if whole else np.float64)
    except OverflowError as error:
        raise ValueError(f"column {name!r} holds a number of more than 64 bits") from error
    changed = [v for v, kept in zip(values, exact.tolist(), strict=True) if v != kept and v == v]
    if changed:
        raise ValueError(f"column {name!r} holds {changed[0]!r}, which no float64 is equal to")
    with np.errstate(over="ignore"):
        short = exact.astype(np.float32)
    shorter = not whole and np.array_equal(short, exact, equal_nan=True)
    return short if shorter else exact


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, EPOCH)
    member.compress_type = zipfile.ZIP_LZMA
    return member


def _write_array(file: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    if array.ndim != 1 or array.dtype.kind not in "fi":
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)}, not a line of numbers")
    with file.open(_member(f"{name}.npy"), "w") as member:
        np.lib.format.write_array(member, array, allow_pickle=False)
