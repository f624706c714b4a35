"""Where a run is. It changes by one assignment when an iteration ends, so it is always whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dsbo.trace import ORACLES

Calls = list[tuple[int, ...]]
"""Oracle calls of some iterations, by kind, of the agents held here."""


class Tally(NamedTuple):
    """A run between two iterations, as one process sees it.

    Parameters
    ----------
    t : int
        Iterations done.
    state : NamedTuple
        The State.
    sent : dict of str to int
        ``rounds`` and ``floats`` of all agents together, and the clocks of networks that vary.
    oracles : dict of str to int
        Oracle calls of one agent by kind, up to the last time that the ranks compared them.
    pending : list
        Those of the iterations since then; one that did not end may have left a last one.
    since : int
        Iterations done then.
    seconds, busy : float
        Time spent on iterations, and that which this process computed since then.
    """

    t: int
    state: Any
    sent: dict[str, int]
    oracles: dict[str, int]
    pending: Calls
    since: int = 0
    seconds: float = 0.0
    busy: float = 0.0

    @classmethod
    def start(cls, state: Any) -> Tally:
        """Return where a run begins."""
        return cls(0, state, {"rounds": 0, "floats": 0}, dict.fromkeys(ORACLES, 0), [])

    @property
    def calls(self) -> Calls:
        """The oracle calls of the iterations since the ranks compared them."""
        return self.pending[: self.t - self.since]

    @property
    def row(self) -> dict[str, Any]:
        """The columns of a row that count."""
        counted = {**self.oracles, "rounds": self.sent["rounds"], "floats": self.sent["floats"]}
        return {"step": self.t, "seconds": self.seconds, **counted}

    def after(
        self,
        state: Any,
        sent: Mapping[str, int],
        calls: Mapping[str, int],
        seconds: float,
        busy: float,
    ) -> Tally:
        """Return where the run is after an iteration that took so long, ``busy`` of it here."""
        self.pending.append(tuple(calls.get(kind, 0) for kind in ORACLES))
        return self._replace(
            t=self.t + 1,
            state=state,
            sent=dict(sent),
            seconds=self.seconds + seconds,
            busy=self.busy + busy,
        )

    def settled(self, of_ranks: Sequence[Calls]) -> Tally:
        """Return the same with the calls of the busiest rank of each iteration counted."""
        counted = Counter(self.oracles)
        for calls in zip(*of_ranks, strict=True):
            counted.update(dict(zip(ORACLES, map(max, *calls, calls[0]), strict=True)))
        return self._replace(oracles=dict(counted), pending=[], since=self.t, busy=0.0)
