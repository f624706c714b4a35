"""What a run leaves behind: rows of numbers, where they came from, and the final state."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

ORACLES = ("upper_grads", "lower_grads", "jvps", "hvps")
"""Columns that count oracle calls of one agent, by kind."""

SEAL = re.compile(r"# ([0-9a-f]{64}) ")
"""Before the provenance: the SHA-256 of all that follows, so that half a file is not taken for it.

Files of version 0.2.0 have none.
"""


class TraceError(ValueError):
    """A file that should hold a trace and does not."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; move it to ``path`` only if all went well.

    A reader sees the old file or the new one, never half of either, and a full disk leaves the
    old one as it was. What is made has the mode that it had, or that any new file gets; of a
    symbolic link the target is replaced.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; the message says what was kept.
    """
    with _beside(path) as (part, whole, mode):
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.chmod(mode)
        part.replace(whole)


def require_writable(path: Path) -> None:
    """Make the folder of a file and raise the OSError of `replacing` if that would not do."""
    with _beside(path):
        pass


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[tuple[Path, Path, int]]:
    """Make an empty file beside the one that ``path`` leads to; give both, and the mode to have."""
    whole = Path(os.path.realpath(path))
    part = whole.with_name(f".{whole.name}.{secrets.token_hex(4)}")
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL, 0o666))  # less what the umask forbids
        try:
            mode = whole.stat().st_mode
        except FileNotFoundError:
            mode = part.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        yield part, whole, stat.S_IMODE(mode)
    except OSError as error:
        there = os.access(path, os.F_OK)  # which never raises
        kept = "the earlier version is untouched" if there else "nothing was written"
        in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
        why = f"{whole.parent} is not a folder" if in_the_way else error.strerror or error
        raise OSError(
            error.errno,
            f"could not write {path}: {why}; {kept}. Free some space or choose another folder",
        ) from error
    finally:
        with contextlib.suppress(OSError):  # of which the file itself told, if it was not made
            part.unlink()


@dataclass(eq=False)
class Trace:
    """The record of one run.

    Parameters
    ----------
    rows : list of dict
        One dict a recorded iteration: ``step``, ``seconds``, oracle calls of one agent by kind
        (``upper_grads``, ``lower_grads``, ``jvps``, ``hvps``), ``rounds``, ``floats`` (numbers sent
        over all links together) and the metrics.
    provenance : dict
        Settings, seed, weights, versions and commit: what made the rows.
    state : NamedTuple or None
        The final State; None for a trace that was read from a file.

    Examples
    --------
    >>> trace = Trace([{"step": 0, "upper_loss": 2.0}, {"step": 10, "upper_loss": 0.5}])
    >>> trace["upper_loss"]
    array([2. , 0.5])
    >>> trace.rows[-1]["step"]
    10
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    state: Any = None

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame.

        Raises
        ------
        ImportError
            If pandas is not installed; rows, columns, `save` and `load` do without.
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("Trace.frame needs pandas: pip install pandas") from None
        return pd.DataFrame(self.rows)

    def __getitem__(self, column: str) -> Any:
        """Return one column as a NumPy array; ``oracle_calls`` is the sum of all kinds."""
        if column == "oracle_calls":
            return np.array([sum(row[kind] for kind in ORACLES) for row in self.rows])
        if self.rows and column not in self.rows[0]:
            raise KeyError(f"no column {column!r}; the trace has {', '.join(self.rows[0])}")
        return np.array([row[column] for row in self.rows])

    def __repr__(self) -> str:
        last = f", last {self.rows[-1]}" if self.rows else ""
        return f"Trace({len(self.rows)} rows{last})"

    def save(self, path: str | Path) -> Path:
        """Write the rows and the provenance to a ``.csv`` file, atomically.

        Its first line is a comment: a checksum of all that follows, and the provenance as JSON.

        Raises
        ------
        ValueError
            If the suffix is another one.
        OSError
            If the file cannot be written; an earlier version is then untouched.
        """
        path, told = csv_file(path), unsealed(self)
        with replacing(path) as part:
            part.write_text(f"# {_digest(told)} {told}", "utf-8", newline="")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read a trace that `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        TraceError
            If the file is not a trace, or only part of one.
        """
        path = Path(path)
        try:
            # As bytes: git may write lines with another end, and universal newlines hide changes.
            text = path.read_bytes().decode().replace("\r\n", "\n")
            seal = SEAL.match(text)
            told = text[seal.end() :] if seal else text.removeprefix("# ")
            if seal and seal[1] != _digest(told):
                raise TraceError(
                    f"{path} was cut short or changed after it was written; make it anew"
                )
            head, _, body = told.partition("\n")
            kept = json.loads(head) if told != text else None
            if kept is not None and not told.endswith("\n"):  # half a number may be a number
                raise TraceError(f"{path} was cut short in its last line; make it anew")
            table = csv.DictReader(io.StringIO(body, newline=""), strict=True)
            rows = [{k: _number(v) for k, v in row.items()} for row in table]
        except TraceError:
            raise
        except (ValueError, TypeError, RecursionError, csv.Error) as error:
            raise TraceError(f"{path} is not a trace: {error}; make it anew") from error
        if not isinstance(kept, dict):
            raise TraceError(
                f"{path} is not a trace: its first line is not '# … {{…}}'; make it anew"
            )
        return cls(rows, kept)


def csv_file(path: str | Path) -> Path:
    """Return the path of a file for a trace, or raise a ValueError if its suffix is not .csv."""
    path = Path(path)
    if path.suffix != ".csv":
        raise ValueError(f"cannot save a trace as {path.name!r}; use .csv, or trace.frame")
    return path


def columns_of(rows: list[dict[str, Any]]) -> list[str]:
    """Return the names of all columns, in the order in which they appear."""
    return list(dict.fromkeys(name for row in rows for name in row))


def lines(rows: list[dict[str, Any]], columns: list[str]) -> str:
    """Return rows as lines of a table; what a row lacks is empty."""
    body = io.StringIO()
    csv.DictWriter(body, columns, lineterminator="\n").writerows(rows)
    return body.getvalue()


def unsealed(trace: Trace) -> str:
    """Return the text of a trace: the provenance as JSON, the columns and the rows."""
    columns = columns_of(trace.rows)
    head = {name: name for name in columns}
    told = json.dumps(trace.provenance, sort_keys=True)
    return f"{told}\n{lines([head, *trace.rows], columns)}"


def _digest(told: str) -> str:
    return hashlib.sha256(told.encode()).hexdigest()


def _number(text: str) -> int | float:
    """Return what `Trace.save` wrote, to the last digit; nothing stands for NaN."""
    try:
        return int(text)
    except ValueError:
        return float(text) if text else math.nan
