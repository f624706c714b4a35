"""What a run has sent and computed: an iteration counts as a whole when it ends, or not at all."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from dsbo.network.ranks import Ranks
from dsbo.network.watch import lagging
from dsbo.trace import ORACLES


class Tally:
    """The counts of a run.

    Attributes
    ----------
    sent : Counter
        ``rounds`` and ``floats`` of all agents together; mixers add to it.
    calls : Counter
        Oracle calls of the iteration that is going on, of the agents held here; levels add to it.
    seconds : float
        Time spent on iterations.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks, self.seconds = ranks, 0.0
        self.sent: Counter[str] = Counter(rounds=0, floats=0)
        self.calls: Counter[str] = Counter()
        self._oracles = Counter(dict.fromkeys(ORACLES, 0))
        self._pending: list[list[int]] = []
        self._busy = 0.0
        self._slow: set[int] = set()

    @contextmanager
    def iteration(self) -> Iterator[None]:
        """Count one iteration; if it is interrupted, nothing of it."""
        before = dict(self.sent)
        started, waited = time.perf_counter(), self.ranks.waited
        try:
            yield
            self._pending.append([self.calls[kind] for kind in ORACLES])
            spent = time.perf_counter() - started
            self.seconds += spent
            self._busy += spent - (self.ranks.waited - waited)
        except BaseException:
            self.sent.clear()
            self.sent.update(before)
            raise
        finally:
            self.calls.clear()

    def counts(self) -> dict[str, int]:
        """Return the columns of a row, the same on every rank: the busiest one counts."""
        told = self.ranks.gather((self._pending, self._busy))
        for calls in zip(*(pending for pending, _ in told), strict=True):
            self._oracles.update(dict(zip(ORACLES, map(max, *calls, calls[0]), strict=True)))
        self._warn_of_slow_ranks([busy for _, busy in told])
        self._pending, self._busy = [], 0.0
        return {**self._oracles, **self.sent}

    def resume(self, counts: dict[str, int], seconds: float) -> None:
        """Go on from counts of before."""
        self.seconds = seconds
        for counter, names in ((self._oracles, ORACLES), (self.sent, ("rounds", "floats"))):
            counter.update({name: counts[name] - counter[name] for name in names})

    def _warn_of_slow_ranks(self, busy: list[float]) -> None:
        for rank, seconds, usual in lagging(busy):
            if self.ranks.rank == 0 and rank not in self._slow:
                self._slow.add(rank)
                warnings.warn(
                    f"rank {rank} is slow: since the last row it computed for {seconds:.1f} s, "
                    f"the others for {usual:.1f} s. All wait for it; look at its machine",
                    stacklevel=5,
                )
