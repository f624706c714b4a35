"""Messages between two processes inside a step, against bare ones of the same bytes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from statistics import median

import torch
import torch.distributed as dist
from steps import STEPS, cleaning_problem, ring
from timing import Found, Ratio
from torch import Tensor

from dsbo import DSOBA, Peers
from dsbo.allocator import keep_freed_memory
from dsbo.chunked import Chunked
from dsbo.network import spawn
from dsbo.world import Draws, World


def exchanges(rounds: int) -> tuple[list[float], list[float]]:
    """Return, for one of two ranks, the seconds of bare exchanges and of those inside a step.

    Both ranks are there when an exchange begins: waiting for a rank that still computes is not
    the transport's. Packing rows into messages is.
    """
    keep_freed_memory()  # as a run does
    problem = cleaning_problem()
    network = Peers(ring().W)
    ranks, mixer = network.ranks, network.mixer(problem.x0, Counter())
    inside, bare = [], []

    def mix(*rows: Tensor, push: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        ranks.maximum(0)
        before = ranks.waited
        mixed = mixer(*rows, push=push)
        inside.append(ranks.waited - before)
        return mixed

    held = problem.everyone()[network.held.start : network.held.stop]
    draws = Draws(0, held, problem.upper, problem.lower)
    world = World(Chunked.of(problem.f, 1), Chunked.of(problem.g, 1), draws, mix, mix, mix)
    algorithm = DSOBA(**STEPS)
    state = algorithm.init(*(r.expand(len(held), -1).clone() for r in (problem.x0, problem.y0)))
    size = network.crossings // 2 * (problem.d + 2 * problem.p)
    message, arriving, other = torch.ones(size), torch.empty(size), 1 - ranks.rank
    for t in range(3 + rounds):
        state = algorithm.step(t, state, world)
        ranks.maximum(0)
        started = time.perf_counter()
        sent, heard = dist.isend(message, other), dist.irecv(arriving, other)
        heard.wait()
        sent.wait()
        bare.append(time.perf_counter() - started)
    return bare[3:], inside[3:]


def peers(rounds: int) -> Found:
    """Time the messages of a D-SOBA step on two ranks, and bare ones of the same bytes."""
    told = spawn(partial(exchanges, rounds), processes=2)
    bare, inside = (
        median(max(pair) for pair in zip(*both, strict=True)) for both in zip(*told, strict=True)
    )
    took = {"bare exchange": bare, "inside a step": inside}
    return Found(took, [Ratio("messages of a step / bare ones", inside / bare, 1.2)])
