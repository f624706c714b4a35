"""Watch a run, and end it early.

A callback is told of every row, of every checkpoint and of the end. It may say that the run ends
here: then a checkpoint is written, and `run` returns the trace, whose provenance says why. What
callbacks do is no part of a run: one that was ended early and is resumed is bitwise the run that
was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dsbo.checked import real, whole
from dsbo.network.ranks import Ranks
from dsbo.trace import Trace, columns_of, csv_file, lines, replacing, unsealed

T = TypeVar("T")


class Callback:
    """What is told of a run; each method does nothing until a subclass says what.

    Of several processes only rank 0 calls its callbacks, and all end at the same iteration. An
    error that one raises passes as one of ``measure`` does: its ``trace`` holds the rows so far.
    """

    def row(self, trace: Trace) -> str | None:
        """Look at a new row.

        Parameters
        ----------
        trace : Trace
            The rows so far, the new one last, and the provenance; not to be written to. Its state
            is None until the end.

        Returns
        -------
        str or None
            Why the run ends here, or None to go on.
        """

    def kept(self, step: int) -> None:
        """Learn that the checkpoint after ``step`` iterations was written."""

    def end(self, trace: Trace) -> None:
        """Learn that the run has ended, whether by its last iteration, a callback or an error.

        An end before the first iteration could begin is none. ``trace.state`` is the final State;
        of a run that ended by an error or an interrupt it is None, but for `Diverged`.
        """


class EarlyStop(Callback):
    """End a run whose metric does not fall any more.

    It ends when none of the last rows is more than ``least`` below the smallest before them. A row
    with NaN is no improvement.

    Parameters
    ----------
    metric : str
        A column of the rows, such as ``"upper_loss"``. Smaller is better: of an accuracy let
        ``measure`` record the error.
    patience : int
        So many rows, at least 1.
    least : float
        What counts as an improvement, in the units of the metric, at least 0.

    Examples
    --------
    >>> from dsbo import DSOBA, run
    >>> from dsbo.problems import Quadratic
    >>> problem = Quadratic.random(1, 2, 2, 1.0, seed=0)
    >>> stop = EarlyStop("upper_loss", patience=5, least=1e-6)
    >>> trace = run(DSOBA(0.1, 0.1, 0.1), problem, steps=10000, callbacks=[stop])
    >>> trace.rows[-1]["step"] < 10000, trace.provenance["stopped"]
    (True, 'upper_loss has not fallen by more than 1e-06 in 5 rows')
    """

    def __init__(self, metric: str, patience: int, least: float = 0.0) -> None:
        if not isinstance(metric, str):
            raise TypeError(f"metric must be the name of a column, as 'upper_loss', got {metric!r}")
        self.metric = metric
        self.patience = whole(patience, "patience")
        self.least = real(least, "least", least=0)

    def row(self, trace: Trace) -> str | None:
        """Say that the run ends if nothing was gained; raise a KeyError that names the columns."""
        values = trace[self.metric].astype(float)
        before, last = (
            np.fmin.reduce(part, initial=np.inf)
            for part in (values[: -self.patience], values[-self.patience :])
        )
        if len(values) <= self.patience or last < before - self.least:
            return None
        return f"{self.metric} has not fallen by more than {self.least:g} in {self.patience} rows"


class TimeLimit(Callback):
    """End a run at the first row after a time is over.

    Parameters
    ----------
    seconds : float
        Time on the clock since this was made, so that it may be shared by the runs of a script; at
        least 0. A row must be due before a run can end: see ``every`` of `run`.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = real(seconds, "seconds", least=0)
        self._made = time.monotonic()

    def row(self, trace: Trace) -> str | None:  # noqa: ARG002
        """Say that the run ends if the time is over."""
        over = time.monotonic() - self._made >= self.seconds
        return f"the limit of {self.seconds:g} s was reached" if over else None


class LiveCSV(Callback):
    """Write the rows to a file as they come.

    While the run goes on, the file has a first line with the provenance and a line for each row.
    At the end it is what `Trace.save` writes. Both are read by `Trace.load`, and by pandas with
    ``comment="#"``. A run that goes on from a checkpoint writes the file anew from its rows.

    Parameters
    ----------
    path : path
        Of a ``.csv`` file. What is there is replaced at the first row.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = csv_file(path)
        self._columns: list[str] = []

    def row(self, trace: Trace) -> None:
        """Append the row; the first of a run, and one with other columns, replace the file."""
        new = trace.rows[-1]
        if new.keys() <= set(self._columns):
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(lines([new], self._columns))
            return
        self._columns = columns_of(trace.rows)
        with replacing(self.path) as part:
            part.write_text(f"# {unsealed(trace)}", "utf-8", newline="")

    def end(self, trace: Trace) -> None:
        """Seal the file, unless there is no row, so that it stays as it was."""
        self._columns = []
        if trace.rows:
            trace.save(self.path)


class TensorBoard(Callback):
    """Write every column as a scalar that TensorBoard shows, by PyTorch's own writer.

    Parameters
    ----------
    folder : path
        For the event files. A run that goes on from a checkpoint hides what was written after it.

    Raises
    ------
    ImportError
        If the package tensorboard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                f"TensorBoard's files need the package tensorboard ({error}): "
                "pip install tensorboard"
            ) from error
        self.folder = Path(folder)
        self._open: Any = SummaryWriter
        self._writer: Any = None

    def row(self, trace: Trace) -> None:
        """Write the row."""
        step = trace.rows[-1]["step"]
        if self._writer is None:
            self._writer = self._open(str(self.folder), purge_step=step)
        for name, value in trace.rows[-1].items():
            if name != "step":
                self._writer.add_scalar(name, float(value), step)
        self._writer.flush()

    def end(self, trace: Trace) -> None:  # noqa: ARG002
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Watch:
    """The callbacks of a run; of several processes rank 0 alone calls them.

    Each is told even where another one fails; the first error is raised then.

    Parameters
    ----------
    callbacks : sequence of Callback
        Whom to tell.
    ranks : Ranks
        The processes of the run.

    Raises
    ------
    TypeError
        If one is no callback.
    """

    def __init__(self, callbacks: Sequence[Callback], ranks: Ranks) -> None:
        if not isinstance(callbacks, Sequence):
            raise TypeError(
                f"callbacks must be a list of them, got {callbacks!r}; write [ ] around"
            )
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"a callback must be made as in TimeLimit(60), got {callback!r}; one of your "
                    "own is of a subclass of dsbo.callbacks.Callback"
                )
        self.callbacks, self.ranks = callbacks, ranks

    def row(self, trace: Trace) -> str | None:
        """Tell of a new row, and return why the run ends here, on every rank, or None."""

        def asked() -> str | None:
            seen = copy(trace)  # its frame, which is kept, is of these rows
            reasons = self._tell(lambda callback: _reason(callback, callback.row(seen)))
            return "; ".join(filter(None, reasons)) or None

        return self.ranks.broadcast(asked) if self.callbacks else None

    def kept(self, step: int) -> None:
        """Tell of a checkpoint."""
        if self.callbacks:
            self.ranks.broadcast(lambda: self._tell(lambda callback: callback.kept(step)))

    def end(self, trace: Trace) -> None:
        """Tell of the end."""
        if self.callbacks:
            self.ranks.broadcast(lambda: self._ended(trace))

    def broken(self, error: BaseException, trace: Trace, kept: int | None) -> None:
        """Tell of a last checkpoint and of an end by an error; what fails then becomes a note."""
        hooks: list[Callable[[], Any]] = [lambda: self._ended(trace)]
        if kept is not None:
            hooks.insert(0, lambda: self._tell(lambda callback: callback.kept(kept)))
        for hook in hooks if self.ranks.rank == 0 else ():
            try:
                hook()
            except Exception as other:
                error.add_note(f"After that a callback failed, too: {other!r}")

    def _ended(self, trace: Trace) -> None:
        try:
            self._tell(lambda callback: callback.end(trace))
        finally:
            self.callbacks = ()  # who learned of an end does not learn of another

    def _tell(self, hook: Callable[[Callback], T]) -> list[T]:
        found, errors = list[T](), list[Exception]()
        for callback in self.callbacks:
            try:
                found.append(hook(callback))
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return found


def _reason(callback: Callback, told: Any) -> str | None:
    """Return why a run ends, or say that this is no reason."""
    if told is None or (isinstance(told, str) and told):
        return told
    raise TypeError(
        f"{type(callback).__name__}.row must return None, or a text that says why the run ends, "
        f"got {told!r}"
    )
