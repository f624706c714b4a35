"""What is stored of a study, in a folder with a file a run or in a record, and whether it is stale.

A run is stale as soon as anything that shapes its numbers differs from what its cell starts now.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from dsbo.checkpoint import CheckpointError, read_sealed
from dsbo.trace import Trace
from dsbo_book.experiments.record import SUFFIX, Record, read
from dsbo_book.experiments.study import Cell, Start, Study, identity, stem

__all__ = ["RECORDS", "StaleRecord", "Store", "load_kept", "load_record", "traces_in"]


def _records() -> Path:
    installed, checkout = Path(__file__).parents[1] / "records", Path(__file__).parents[3]
    beside = installed if installed.is_dir() else checkout / "book/records"
    return Path(os.environ.get("DSBO_RECORDS") or beside)


RECORDS = _records()
"""Where the records are: ``$DSBO_RECORDS``, else with the package or in its source checkout. A file
is named after an experiment and its scale."""


class StaleRecord(ValueError):
    """A run that is missing, cut short or made with other settings."""


@dataclass(frozen=True)
class Store:
    """Runs in the folder of a study, and those of a record.

    Parameters
    ----------
    place : Path
        The folder, or the record.
    record : Record
        What the record holds.
    """

    place: Path
    record: Record

    @classmethod
    def at(cls, place: str | Path) -> Store:
        """Open a folder or a record; raise StaleRecord if the record is missing."""
        place = Path(place)
        if place.suffix != SUFFIX:
            return cls(place, Record({}, {}))
        try:
            return cls(place, read(place))
        except FileNotFoundError:
            remedy = _anew(place)
            if place.parent == RECORDS:
                remedy = f"It comes with the package: install dsbo anew. {remedy}"
            raise StaleRecord(f"{place} is missing. {remedy}") from None

    def trace(self, cell: Cell, start: Start) -> Trace:
        """Return the trace of a cell, whole and of what the cell starts now; else StaleRecord."""
        name = stem(cell)
        path = self.place / f"{name}.csv"
        trace = Trace.load(path) if path.is_file() else self.record.traces.get(name)
        wrong = self._missing(cell) if trace is None else _wrong(trace, cell, start)
        if trace is None or wrong:
            raise StaleRecord(f"{name} in {self.place} {wrong}. {_anew(self.place)}")
        return trace

    def xbar(self, cell: Cell) -> NDArray[Any]:
        """Return the final x̄ ``[d]`` that the run of a cell kept."""
        name = stem(cell)
        path = self.place / f"{name}.safetensors"
        try:
            return (
                read_sealed(path)[0]["xbar"].numpy() if path.is_file() else self.record.kept[name]
            )
        except (KeyError, CheckpointError) as error:
            raise StaleRecord(f"{path} is missing or broken. {_anew(self.place)}") from error

    def _missing(self, cell: Cell) -> str:
        """Say in what a missing cell differs from the most alike that the record holds."""
        held = [trace.provenance.get("cell", {}) for trace in self.record.traces.values()]
        told = [_differences(other, cell) for other in held]
        nearest = f"; in the one most alike {min(told, key=len)}" if told else ""
        return f"is missing{nearest}"


def load_record(study: Study, place: str | Path) -> list[Trace]:
    """Read the traces of a study, in the order of its cells, from a record or a folder.

    Raises
    ------
    StaleRecord
        If a trace is missing, is cut short or was made with other settings; the message says what
        differs and how to make it anew.
    TraceError
        If a file is damaged.
    """
    store = Store.at(place)
    return [store.trace(cell, study.start(cell)) for cell in study.cells]


def load_kept(cell: Cell, place: str | Path) -> Tensor:
    """Return the final x̄ ``[d]`` that the run of a cell kept, from a record or a folder."""
    return torch.from_numpy(Store.at(place).xbar(cell))


def traces_in(place: Path) -> list[Trace]:
    """Return the traces in a record, also one of the package by its name, a file or a folder.

    Raises
    ------
    FileNotFoundError
        If there are none.
    """
    ours = RECORDS / f"{place}{SUFFIX}"
    place = ours if ours.is_file() and not place.exists() else place
    if place.suffix == SUFFIX and place.is_file():
        return list(read(place).traces.values())
    files = [place] if place.is_file() else sorted(place.glob("*.csv"))
    if not files:
        raise FileNotFoundError(
            f"no traces in {place}: it is no record (*.npz), none that comes with the package, no "
            "trace, and no folder with traces (*.csv)"
        )
    return [Trace.load(file) for file in files]


def _wrong(trace: Trace, cell: Cell, start: Start) -> str:
    """Say in what a trace is not that of a cell, or which rows it lacks; nothing if it is whole."""
    identified = trace.provenance.get("identity", {})
    was = identified if isinstance(identified, dict) else {"identity": identified}
    was = {"cell": trace.provenance.get("cell", {}), **was}
    told = _differences(was, {"cell": cell, **identity(start)})
    if told:
        return f"is stale: {told}"
    lost = trace.provenance.get("diverged")
    if lost and not (isinstance(lost, dict) and isinstance(lost.get("step"), int)):
        return f"diverged, but does not say where: {lost}"
    due = range(0, lost["step"] if lost else start.steps, start.every)
    rows = [*due] if lost else [*due, start.steps]
    there = [row.get("step") for row in trace.rows]
    return "" if there == rows else f"was cut short: it has {len(there)} rows of {len(rows)}"


def _differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say what differs, such as ``algorithm.alpha was 0.1, is 0.2``."""
    old, new = _flat(was), _flat(now)
    keys = [key for key in {**new, **old} if _digits(old.get(key)) != _digits(new.get(key))]
    return ", ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in keys)


def _digits(value: Any) -> str:
    """Return a value with numbers of nine digits; further ones differ between processors."""
    told = repr(float(value) if isinstance(value, float) else value)  # NumPy's float is one, too
    return re.sub(r"\d+\.\d+(e-?\d+)?", lambda found: f"{float(found[0]):.9g}", told)


def _flat(tree: Any, above: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {above: tree}
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{above}.{key}" if above else key)
    return found


def _anew(place: Path) -> str:
    """Say how to make a record or a run whose name tells what it is of."""
    from dsbo_book.experiments import EXPERIMENTS  # which are made of what is here

    name, _, scale = place.name.partition(".")[0].rpartition("-")
    if name not in EXPERIMENTS or scale not in EXPERIMENTS[name].scales:
        return "Make it anew: dsbo run, with --resume"
    return f"Make it anew: dsbo run {name} --scale {scale} --resume --out {place}"
