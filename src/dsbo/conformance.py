"""What every algorithm must satisfy, as checks for the tests of this package and of yours.

Each check raises `Nonconforming`, which says what differs, or returns the largest difference it
found. `check` goes through all that need a method, a problem and weights alone. The strongest of
all, that a method `equals` a naive loop over the agents, needs that loop, which is its author's to
write.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_flatten

from dsbo import mixing
from dsbo.algorithms import Algorithm
from dsbo.network import Dense, PushPull, Sparse
from dsbo.problems import Problem
from dsbo.run import run
from dsbo.world import Sampler

Weights = NDArray[np.float64]
STEPS = 12
"""Iterations of a check that needs no more: two whole cycles of a method that restarts."""


class Nonconforming(AssertionError):
    """What a method does is not what it should do."""


def equals(got: Any, want: Any, tol: float) -> float:
    """Return the largest difference of two States, or say which variable differs by more than tol.

    Parameters
    ----------
    got, want : NamedTuple of Tensor
        States; of both the variables that the other has too.
    tol : float
        Largest difference allowed, for each unit of the largest number of a variable, if that is
        above 1: its rounding grows with it, and differs between processors.
    """
    shared = [name for name in got._fields if name in want._fields]
    shapes = [(name, getattr(got, name).shape, getattr(want, name).shape) for name in shared]
    if not shared:
        raise Nonconforming(f"no variable of {got._fields} is in {want._fields}")
    if odd := [f"{name} is {tuple(a)}, not {tuple(b)}" for name, a, b in shapes if a != b]:
        raise Nonconforming("; ".join(odd))
    sizes = {name: max(1.0, float(getattr(want, name).abs().max())) for name in shared}
    gaps = {n: _gap(getattr(got, n), getattr(want, n)) / sizes[n] for n in shared}
    name = max(gaps, key=lambda key: gaps[key])
    if not gaps[name] <= tol:
        raise Nonconforming(f"{name} differs by {gaps[name]:.3g}, more than {tol:.3g}")
    return gaps[name]


def networks_agree(algorithm: Algorithm, problem: Problem, W: Weights, tol: float) -> float:
    """Return by how much `Sparse` differs from `Dense` after 30 iterations."""
    dense, sparse = (run(algorithm, problem, kind(W), 30).state for kind in (Dense, Sparse))
    return equals(dense, sparse, tol)


def resumes(algorithm: Algorithm, problem: Problem, W: Weights) -> float:
    """Return 0 if a run that stops after 17 of 40 iterations goes on bit for bit."""
    whole = run(algorithm, problem, Dense(W), 40, every=5)
    with tempfile.TemporaryDirectory() as folder:
        run(algorithm, problem, Dense(W), 17, every=5, checkpoint=folder)
        again = run(algorithm, problem, Dense(W), 40, every=5, checkpoint=folder, resume=True)
    for before, after in zip(whole.rows, again.rows, strict=True):
        odd = [k for k in before if k != "seconds" and not _same(before[k], after[k])]
        if odd:
            raise Nonconforming(f"{odd[0]} was {before[odd[0]]}, is {after[odd[0]]} when resumed")
    return equals(again.state, whole.state, 0.0)


def seeds_decide(algorithm: Algorithm, problem: Problem, W: Weights) -> float:
    """Return by how much y differs between two seeds; the same seed twice must differ by 0.

    The problem must be noisy.
    """
    first, again, other = (run(algorithm, problem, Dense(W), 5, seed=s).state for s in (4, 4, 5))
    equals(first, again, 0.0)
    gap = _gap(first.y, other.y)
    if not gap > 0:
        raise Nonconforming(
            "two seeds give the same y; take samples from w.draw, and a noisy problem"
        )
    return gap


def costs(algorithm: Algorithm, problem: Problem, W: Weights) -> dict[str, float]:
    """Return what an iteration costs, as counted, which must be what ``cost`` declares.

    A Neumann chain is summed in full, since a drawn length has no formula.
    """
    if not hasattr(type(algorithm), "cost"):
        raise Nonconforming("the class declares no cost; give it one, such as Cost('d + 2*p')")
    algorithm = _summing(algorithm)
    network, steps = Dense(W), STEPS * getattr(algorithm, "q", 1)
    last = run(algorithm, problem, network, steps).rows[-1]
    counted = {name: last[name] / steps for name in type(algorithm).cost._fields}
    counted["floats"] /= network.links or 1
    declared = algorithm.calls(problem.d, problem.p)
    if not network.links:
        declared["floats"] = 0
    odd = [name for name in counted if not np.isclose(counted[name], declared[name], rtol=1e-12)]
    if odd:
        raise Nonconforming(
            "; ".join(f"{k}: counted {counted[k]:g}, declared {declared[k]:g}" for k in odd)
        )
    return counted


def ignores_labels(algorithm: Algorithm, problem: Problem, W: Weights, tol: float) -> float:
    """Return by how much a run differs from that of the same agents in another order.

    On all data, since draws belong to labels; so is the length of a chain, which is full here.
    """
    algorithm = _summing(algorithm)
    order = np.random.default_rng(0).permutation(problem.agents)

    def ordered(order: Sequence[int]) -> Any:
        p, W_ = problem, W[np.ix_(order, order)]
        upper, lower = _Relabelled(p.upper, order), _Relabelled(p.lower, order)
        moved = Problem(p.f, p.g, p.x0, p.y0, p.agents, upper, lower)
        return run(algorithm, moved, Dense(W_), STEPS).state

    here, there = ordered(range(problem.agents)), ordered(order.tolist())
    return equals(there, type(here)(*(part[order] for part in here)), tol)


@dataclass(frozen=True)
class _Relabelled:
    """All that a sampler has, for agents in another order."""

    sampler: Sampler
    order: Sequence[int]

    def numbers(self, randoms: Any, agents: Tensor, K: int) -> None:
        """Nothing is random: every draw is everything."""

    def batch(self, numbers: Tensor, agents: Tensor) -> Any:  # noqa: ARG002
        return self.full(agents)

    def full(self, agents: Tensor) -> Any:
        return self.sampler.full(torch.as_tensor(self.order, device=agents.device)[agents])

    def to(self, device: torch.device) -> _Relabelled:
        return replace(self, sampler=self.sampler.to(device))


def pushes(algorithm: Algorithm, problem: Problem) -> None:
    """See that a method with ``tracking = True`` sends something as ``push=``."""
    shares = mixing.lazy(mixing.average(problem.agents))
    other = np.eye(problem.agents) / 4 + 3 * shares / 4
    pulled, pushed = (run(algorithm, problem, PushPull(shares, W), STEPS) for W in (shares, other))
    if all(map(torch.equal, pulled.state, pushed.state)):
        raise Nonconforming(
            "tracking is True, but no weights of trackers change the run; send trackers as push="
        )


def leaves_inputs(algorithm: Algorithm, problem: Problem, W: Weights) -> None:
    """Run, and see that starts and data stay as they were and that the State has their dtype."""
    before = [part.clone() for part in _inputs(problem)]
    state = run(algorithm, problem, Dense(W), 5).state
    if not all(map(torch.equal, before, _inputs(problem))):
        raise Nonconforming("the starts or the data of the problem were changed in place")
    odd = [k for k, v in state._asdict().items() if (v.dtype, v.device) != _kind(problem.x0)]
    if odd:
        raise Nonconforming(f"{odd[0]} is not of the dtype and device of x0, {_kind(problem.x0)}")


def is_a_value(algorithm: Algorithm) -> None:
    """See that a method equals its copy from another process, as a value does."""
    if pickle.loads(pickle.dumps(algorithm)) != algorithm:
        raise Nonconforming("a pickled copy is not equal; make the method a frozen dataclass")


def check(
    algorithm: Algorithm, problem: Problem, W: Weights, tol: float | None = None
) -> dict[str, Any]:
    """Go through all checks and return what each found.

    Parameters
    ----------
    algorithm : Algorithm
        The method, with steps at which it is stable on this problem.
    problem : Problem
        Noisy, so that seeds matter.
    W : ndarray
        Weights ``[N, N]`` that the method accepts.
    tol : float, optional
        Largest difference where sums are added up in another order; by default 1e-12 in double
        precision and 1e-4 in single.

    Raises
    ------
    Nonconforming
        At the first that fails.
    """
    if tol is None:
        tol = 1e-12 if problem.x0.dtype == torch.float64 else 1e-4
    is_a_value(algorithm)
    leaves_inputs(algorithm, problem, W)
    if algorithm.tracking and problem.agents > 1:
        pushes(algorithm, problem)
    return {
        "networks_agree": networks_agree(algorithm, problem, W, tol),
        "ignores_labels": ignores_labels(algorithm, problem, W, tol),
        "resumes": resumes(algorithm, problem, W),
        "seeds_decide": seeds_decide(algorithm, problem, W),
        "costs": costs(algorithm, problem, W),
    }


def _summing(algorithm: Any) -> Any:
    """Return the method with its Neumann chains summed in full, if it has any."""
    drawn = "full_sum" in {setting.name for setting in fields(algorithm)}
    return replace(algorithm, full_sum=True) if drawn else algorithm


def _gap(a: Any, b: Any) -> float:
    a, b = (torch.as_tensor(side, dtype=torch.float64, device="cpu") for side in (a, b))
    gap = float((a - b).abs().max())
    return float("inf") if gap != gap else gap


def _same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)


def _kind(row: Tensor) -> tuple[torch.dtype, torch.device]:
    return row.dtype, row.device


def _inputs(problem: Problem) -> list[Tensor]:
    everyone = problem.everyone()
    held = (problem.x0, problem.y0, problem.upper.full(everyone), problem.lower.full(everyone))
    return [part for part in tree_flatten(held)[0] if isinstance(part, Tensor)]
