"""How the time of a step grows with agents and with numbers, and that of rho."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch
from steps import stepper
from timing import Found, Ratio, Thing, in_own_process, in_turn, peak
from torch import Tensor

from dsbo import DSOBA, Problem, Sparse, graphs, mixing, run
from dsbo.allocator import keep_freed_memory

AGENTS = (8, 64, 512, 4096)
WIDTHS = (1_000, 10_000, 100_000)
ROWS, FEATURES = 64, 256


def regression(agents: int, width: int) -> Thing:
    """Return a step of D-SOBA where each agent fits ``width`` numbers to a batch of 64 rows."""
    columns = width // FEATURES

    def loss(y: Tensor, batch: Tensor) -> Tensor:
        return torch.cosh(0.1 * (batch @ y.view(FEATURES, columns))).mean()

    def upper(x: Tensor, y: Tensor, batch: Tensor) -> Tensor:
        return loss(y, batch) + x.square().sum()

    def lower(x: Tensor, y: Tensor, batch: Tensor) -> Tensor:
        return loss(y, batch) + (x.exp().sum() * y.square().sum())

    g = torch.Generator().manual_seed(0)
    data = [torch.rand(ROWS, FEATURES, generator=g) for _ in range(agents)]
    starts = torch.zeros(10), torch.zeros(FEATURES * columns)
    problem = Problem.from_losses(upper, lower, *starts, data, data)
    weights = Sparse(mixing.uniform(graphs.ring(agents), self_weight=0.5))
    return stepper(DSOBA(1e-3, 1e-3, 1e-3, 0.2), problem, weights)


def growth(rounds: int) -> Found:
    """Time a step of D-SOBA on a ring of 8 to 4096 agents, and for 1000 to 100 000 numbers each."""
    keep_freed_memory()
    few = min(rounds, 7)
    took = in_turn({f"{N} agents, p = 2048": regression(N, 2048) for N in AGENTS}, few)
    each = [took[f"{N} agents, p = 2048"] / N for N in AGENTS]
    wide = in_turn({f"64 agents, p = {p}": regression(64, p) for p in WIDTHS}, few)
    number = [wide[f"64 agents, p = {p}"] / p for p in WIDTHS]
    return Found(
        took | wide,
        [
            Ratio("an agent of 4096 / one of 8", each[-1] / each[0], 1.3),
            Ratio("an agent of 4096 / one of 64", each[-1] / each[1], 1.3),
            Ratio("a number of 100 000 / one of 1000", number[-1] / number[0], 1.3),
        ],
    )


def memory(rounds: int) -> Found:  # noqa: ARG001
    """Measure the peak of a run whose losses make much on their way, in multiples of its State."""
    chunks = {"all at once": None, "8 at a time": 8, "1 at a time": 1}
    peaks = {}
    for name, chunk in chunks.items():
        with in_own_process(partial(peak_of_run, chunk)) as once:
            peaks[name] = once()
    share = peaks["8 at a time"] / peaks["all at once"]
    return Found({}, [Ratio("peak of 8 at a time / all", share, 0.5)], peaks)


def peak_of_run(chunk: int | None) -> Thing:
    """Return a function that runs, and tells by how many States its memory rose."""
    agents, width, rows = 64, 2**18, 2**15

    def loss(x: Tensor, y: Tensor, batch: Tensor) -> Tensor:
        hidden = torch.tanh(batch @ y.view(16, -1)[:, :32])
        return hidden.square().mean() + (x.exp().sum() + 1) * y.square().sum()

    g = torch.Generator().manual_seed(0)
    data = [torch.rand(rows, 16, generator=g) for _ in range(agents)]
    problem = Problem.from_losses(loss, loss, torch.zeros(1), torch.zeros(width), data, data)
    weights = Sparse(mixing.uniform(graphs.ring(agents), self_weight=0.5))
    method = DSOBA(1e-3, 1e-3, 1e-3, 0.2)
    few = [own[:2] for own in data]
    small = Problem.from_losses(loss, loss, torch.zeros(1), torch.zeros(512), few, few)
    run(method, small, weights, 1, measure=lambda *_: {})  # which loads what a run needs
    before = peak()

    def once() -> float:
        run(method, problem, weights, 3, every=3, chunk=chunk, measure=lambda *_: {})
        return (peak() - before) / (4 * agents * (2 * problem.d + 2 * problem.p))

    return once


def spectra(rounds: int) -> Found:  # noqa: ARG001
    """Time the mixing rate of a ring of 4096 agents, by Lanczos and by dense singular values."""

    def seconds(thing: Thing) -> float:
        started = time.perf_counter()
        thing()
        return time.perf_counter() - started

    W = mixing.uniform(graphs.ring(4096), self_weight=0.5)
    took = {
        "Sparse(W) and its rho": seconds(lambda: Sparse(W).rho),
        "dense singular values": seconds(lambda: np.linalg.norm(W - 1 / len(W), ord=2)),
    }
    value = took["Sparse(W) and its rho"] / took["dense singular values"]
    return Found(took, [Ratio("Sparse(W).rho / dense", value, 0.1)])
