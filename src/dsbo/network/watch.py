"""Who is still there: each rank leaves signs of life, and reads those of others when it waits.

A rank whose neighbour falls silent sees a closed connection or a timeout, and so, soon after, do
the neighbours of that rank. The signs tell the first that was lost from those that ended because
of it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import TypedDict

from torch.distributed import Store  # type: ignore[attr-defined]

from dsbo.checked import real

LONGEST_INTERVAL = 1.0
"""Seconds between signs of life, at most; an eighth of the timeout if that is less."""
LISTEN = 3.0
"""Intervals without a sign after which a rank is taken for lost."""
LONGEST_TIMEOUT = 1e9
"""Seconds, three decades, which torch can still count in nanoseconds."""

SLOW, LAG = 2.0, 1.0
"""A rank is slow if it computes that many times as long as the others and so many seconds more."""


def require_timeout(seconds: float) -> float:
    """Return a timeout, or raise the ValueError that says which ones there are."""
    if not 0 < real(seconds, "timeout", finite=False) <= LONGEST_TIMEOUT:
        raise ValueError(
            f"the timeout is {seconds:g}; give seconds above 0 and up to {LONGEST_TIMEOUT:g}"
        )
    return seconds


class PeerLost(RuntimeError):
    """Another rank ended or does not answer; nothing recorded in a checkpoint is lost.

    Attributes
    ----------
    rank : int or None
        The rank that was lost; None if even that cannot be told.
    reason : str
        What was seen of it.
    kept : str
        What is left, and how to go on.
    """

    def __init__(self, rank: int | None, reason: str, kept: str = "") -> None:
        self.rank, self.reason, self.kept = rank, reason, kept
        super().__init__(rank, reason, kept)

    def __str__(self) -> str:
        who = "a rank" if self.rank is None else f"rank {self.rank}"
        return f"{who} was lost: {self.reason}. {self.kept}".strip()


class Note(TypedDict):
    """What a rank leaves behind when it ends with an error: who is to blame, and for what."""

    rank: int | None
    reason: str


class Watch:
    """Signs of life in a store that all ranks see.

    Parameters
    ----------
    store : torch.distributed.Store
        A connection for this object alone.
    rank, count : int
        Which rank this is, and how many there are.
    timeout : float
        Seconds after which a message that does not come ends the run.
    keeper : int or None
        The rank whose process holds the store; None if it is the process that started the ranks.
    """

    def __init__(
        self, store: Store, rank: int, count: int, timeout: float, keeper: int | None = None
    ) -> None:
        self.store, self.rank, self.count, self.timeout = store, rank, count, timeout
        self.keeper = keeper
        self.interval = min(LONGEST_INTERVAL, timeout / 8)
        self.rounds = 0
        """Exchanges that this rank has entered."""
        self.listening = False
        """Whether this rank is finding out who was lost."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._give_signs, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop giving signs."""
        self._ended.set()
        self._thread.join()

    def leave(self, error: BaseException) -> None:
        """Leave a note that says why this rank ends."""
        if isinstance(error, PeerLost):
            note = Note(rank=error.rank, reason=error.reason)
        else:
            note = Note(rank=self.rank, reason=f"it ended with {type(error).__name__}: {error}")
        try:
            self.store.set(f"ended/{self.rank}", json.dumps(note))
        except RuntimeError:
            return  # nobody holds the store any more, so nobody reads notes

    def blame(self, error: BaseException) -> PeerLost:
        """Listen for some intervals and return who was lost; ``error`` is what was seen."""
        self.listening = True
        try:
            before = self._signs()
            time.sleep(LISTEN * self.interval)
            after, notes = self._signs(), self._notes()
        except RuntimeError:
            return PeerLost(self.keeper, "the process that holds the rendezvous does not answer")
        finally:
            self.listening = False
        others = [q for q in range(self.count) if q != self.rank]
        silent = [q for q in others if q not in notes and before.get(q) == after.get(q)]
        if silent:
            return PeerLost(silent[0], f"it gives no sign of life ({_short(error)})")
        if notes:
            note = min(notes.values(), key=lambda note: note["rank"] != self.rank)
            return PeerLost(note["rank"], note["reason"])
        behind = min(others, key=lambda q: after[q][1])
        return PeerLost(
            behind,
            f"it is alive but behind all others, and sent nothing for {self.timeout:g} s; if it "
            "only is slow, allow more time with timeout=… or --timeout",
        )

    def _give_signs(self) -> None:
        count = 0
        while True:
            try:
                self.store.set(f"sign/{self.rank}", json.dumps([count, self.rounds]))
            except RuntimeError:
                return  # nobody holds the store any more
            if self._ended.wait(self.interval):
                return
            count += 1

    def _signs(self) -> dict[int, list[int]]:
        return {q: json.loads(self.store.get(f"sign/{q}")) for q in self._with("sign")}

    def _notes(self) -> dict[int, Note]:
        notes: dict[int, Note] = {
            q: json.loads(self.store.get(f"ended/{q}")) for q in self._with("ended")
        }
        return notes

    def _with(self, key: str) -> list[int]:
        return [q for q in range(self.count) if self.store.check([f"{key}/{q}"])]


def _short(error: BaseException) -> str:
    """Return what the backend said, without the place in its source."""
    said = str(error).splitlines()[0].split("] ", 1)[-1]
    return said.split(". This is")[0]


def lagging(busy: Sequence[float]) -> Iterator[tuple[int, float, float]]:
    """Yield each slow rank, the seconds it computed, and the median of the others.

    >>> list(lagging([3.0, 9.0, 3.5]))
    [(1, 9.0, 3.25)]
    """
    for rank, seconds in enumerate(busy):
        usual = median([other for q, other in enumerate(busy) if q != rank] or [seconds])
        if seconds > SLOW * usual and seconds - usual > LAG:
            yield rank, seconds, usual
