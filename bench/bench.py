"""What a step costs, as ratios within one run: machines differ and drift, ratios hardly.

    nox -s bench              all of it
    nox -s bench -- cleaning  one of: cleaning, sparse, diamond, peers

Things compared are timed in turn, A B A B …; medians are told. The loop of scripts runs in a
process of its own, because a script finds the memory allocator as the C library sets it up. The
exit code is 1 if a ratio misses its goal.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from dsbo import DIAMOND, DSOBA, Dense, Network, Peers, Problem, Sparse, graphs, mixing
from dsbo.allocator import keep_freed_memory
from dsbo.compiled import Compiled
from dsbo.network import spawn
from dsbo.one_by_one import OneByOne
from dsbo.world import Draws, World
from dsbo_book.problems import hyper_cleaning, meta_learning

N, BATCH, FEATURES, HIDDEN, CLASSES, SAMPLES = 10, 50, 784, 300, 10, 5000
STEPS = {"alpha": 100.0, "beta": 0.1, "gamma": 0.1, "theta": 0.2}


def ring() -> Dense:
    """Return the network of the cleaning problem."""
    return Dense(mixing.uniform(graphs.ring(N)))


def in_turn(things: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each thing, all timed alternately."""
    for thing in things.values():
        for _ in range(3):
            thing()
    times: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(rounds):
        for name, thing in things.items():
            thing()  # so that none pays for the caches that its neighbour filled
            started = time.perf_counter()
            thing()
            times[name].append(time.perf_counter() - started)
    return {name: median(values) for name, values in times.items()}


@contextmanager
def in_own_process(make: Callable[[], Callable[[], Any]]) -> Iterator[Callable[[], None]]:
    """Give a function that does what `make()` does, once per call, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, make), daemon=True)
    process.start()
    here.recv()

    def once() -> None:
        here.send(None)
        here.recv()

    try:
        yield once
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, make: Callable[[], Callable[[], Any]]) -> None:
    torch.set_num_threads(2)
    thing = make()
    pipe.send(None)
    while True:
        pipe.recv()
        thing()
        pipe.send(None)


def cleaning_problem() -> Problem:
    """Return the cleaning problem at paper scale on random pixels, which cost what real ones do."""
    g = torch.Generator().manual_seed(0)

    def drawn(m: int) -> tuple[Tensor, Tensor]:
        labels = torch.randint(CLASSES, (N, m), generator=g)
        return torch.rand(N, m, FEATURES, generator=g), labels

    train, clean = drawn(SAMPLES), drawn(1000)
    test = clean[0][0], clean[1][0]
    return hyper_cleaning(train, clean, test, train[1], CLASSES, HIDDEN, batch=BATCH)


def stepper(algorithm: Any, problem: Problem, weights: Network, compiled: bool = False) -> Any:
    """Return a function that does one more iteration each time it is called."""
    f, g = problem.f, problem.g
    world = World(
        Compiled(f) if compiled else f,
        Compiled(g) if compiled else g,
        Draws(0, problem.everyone(), problem.upper, problem.lower),
        *weights.levels.mixers(problem.x0, Counter()),
    )
    rows = [row.expand(problem.agents, -1).clone() for row in (problem.x0, problem.y0)]
    now = {"t": 0, "state": algorithm.init(*rows)}

    def advance() -> None:
        now["state"] = algorithm.step(now["t"], now["state"], world)
        now["t"] += 1

    return advance


def floor(problem: Problem, W: Tensor) -> Callable[[], None]:
    """Return the matrix products that no implementation of the step can avoid.

    The two levels need three products of the batch with a matrix of the first layer's shape (the
    two forward passes and the one with z) and three outer products of that shape (∇₂f, ∇₂g, Hz);
    and x, y and z are mixed.
    """
    g = torch.Generator().manual_seed(1)
    a = torch.rand(N, BATCH, FEATURES, generator=g)
    weight = torch.rand(N, FEATURES, HIDDEN, generator=g)
    back = torch.rand(N, BATCH, HIDDEN, generator=g)
    x, y = torch.rand(N, problem.d, generator=g), torch.rand(N, problem.p, generator=g)
    z = y.clone()

    def products() -> None:
        for _ in range(3):
            torch.bmm(a, weight)
            torch.bmm(a.mT, back)
        for rows in (x, y, z):
            torch.mm(W, rows)

    return products


def published_way() -> Callable[[], None]:
    """Return the step as scripts write it.

    A loop over agents, a graph for each of the five quantities u_x, u_y, v, Jz and Hz, and layers
    that keep [out, in] as `torch.nn.Linear` does.
    """
    problem, weights = cleaning_problem(), ring()
    W = weights.weights(problem.x0)(0)
    shapes = [(HIDDEN, FEATURES), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,)]
    sizes = [math.prod(shape) for shape in shapes]

    def logits_of(y: Tensor, a: Tensor) -> Tensor:
        parts = [p.view(s) for p, s in zip(y.split(sizes), shapes, strict=True)]
        return linear(torch.relu(linear(a, *parts[:2])), *parts[2:])

    rng = np.random.default_rng(0)
    x, y = (row.expand(N, -1).clone() for row in (problem.x0, problem.y0))
    z, h = torch.zeros_like(y), torch.zeros_like(x)
    (clean_a, clean_c), (train_a, train_c, train_e) = problem.upper.data, problem.lower.data
    state = {"x": x, "y": y, "z": z, "h": h}

    def upper(i: int, y: Tensor, rows: Tensor) -> Tensor:
        return cross_entropy(logits_of(y, clean_a[i, rows]), clean_c[i, rows])

    def lower(i: int, x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        logits = logits_of(y, train_a[i, rows])
        losses = cross_entropy(logits, train_c[i, rows], reduction="none")
        weighted = (torch.sigmoid(x[train_e[i, rows]]) * losses).mean()
        return weighted + 1e-3 * (y * y).sum()

    def advance() -> None:
        x, y, z, h = (state[k] for k in "xyzh")
        new: dict[str, list[Tensor]] = {k: [] for k in "xyzh"}
        for i in range(N):
            up = torch.as_tensor(rng.integers(clean_a.shape[1], size=BATCH))
            low = torch.as_tensor(rng.integers(SAMPLES, size=BATCH))
            xi, yi = x[i].clone().requires_grad_(), y[i].clone().requires_grad_()
            (u_x,) = torch.autograd.grad(upper(i, yi, up), xi, materialize_grads=True)
            (u_y,) = torch.autograd.grad(upper(i, yi, up), yi)
            (v,) = torch.autograd.grad(lower(i, xi, yi, low), yi)
            (again,) = torch.autograd.grad(lower(i, xi, yi, low), yi, create_graph=True)
            (hz,) = torch.autograd.grad(again, yi, grad_outputs=z[i])
            (again,) = torch.autograd.grad(lower(i, xi, yi, low), yi, create_graph=True)
            (jz,) = torch.autograd.grad(again, xi, grad_outputs=z[i])
            new["x"].append(x[i] - STEPS["alpha"] * h[i])
            new["y"].append(y[i] - STEPS["beta"] * v)
            new["z"].append(z[i] - STEPS["gamma"] * (hz - u_y))
            new["h"].append((1 - STEPS["theta"]) * h[i] + STEPS["theta"] * (u_x - jz))
        for k in "xyz":
            state[k] = W @ torch.stack(new[k])
        state["h"] = torch.stack(new["h"])

    return advance


def cleaning(rounds: int) -> list[tuple[str, float, float, bool]]:
    """Compare a step of the cleaning problem with its floor and with the way scripts do it."""
    problem, weights = cleaning_problem(), ring()
    algorithm, W = DSOBA(**STEPS), weights.weights(problem.x0)(0)
    keep_freed_memory()
    things = {
        "floor": floor(problem, W),
        "eager": stepper(algorithm, problem, weights),
        "compiled": stepper(algorithm, problem, weights, compiled=True),
    }
    with in_own_process(published_way) as script:
        took = in_turn({"loop over agents": script, **things}, rounds)
    for name, seconds in took.items():
        print(f"  {name:18} {1e3 * seconds:8.1f} ms")
    return [
        ("eager / floor", took["eager"] / took["floor"], 3.0, False),
        ("compiled / floor", took["compiled"] / took["floor"], 2.0, False),
        ("loop over agents / eager", took["loop over agents"] / took["eager"], 2.0, True),
        ("loop over agents / compiled", took["loop over agents"] / took["compiled"], 3.0, True),
    ]


def sparse(rounds: int) -> list[tuple[str, float, float, bool]]:
    """Compare 1024 agents on a ring with 128, each with p = 1000."""

    def upper(x: Tensor, y: Tensor, batch: Tensor) -> Tensor:
        return ((y - batch) ** 2).sum() + (x**2).sum()

    def lower(x: Tensor, y: Tensor, batch: Tensor) -> Tensor:
        return ((y - x - batch) ** 2).sum() + torch.cosh(y).sum()

    def of(agents: int) -> Any:
        g = torch.Generator().manual_seed(0)
        data = [torch.rand(1, 1000, generator=g) for _ in range(agents)]
        start = torch.zeros(1000)
        losses = (lambda x, y, b: upper(x, y, b[0]), lambda x, y, b: lower(x, y, b[0]))
        problem = Problem.from_losses(*losses, start, start, data, data)
        weights = Sparse(mixing.uniform(graphs.ring(agents), self_weight=0.5))
        return stepper(DSOBA(0.01, 0.01, 0.01, 0.2), problem, weights)

    keep_freed_memory()
    took = in_turn({"128 agents": of(128), "1024 agents": of(1024)}, rounds)
    for name, seconds in took.items():
        print(f"  {name:18} {1e3 * seconds:8.1f} ms")
    grown = took["1024 agents"] / took["128 agents"] / (1024 / 128)
    return [("1024 agents / 8 / 128 agents", grown, 1.3, False)]


def meta_problem(agents: int) -> Problem:
    """Return the meta-learning problem on random pixels, which cost what MNIST's do."""
    g = torch.Generator().manual_seed(0)

    def drawn() -> tuple[Tensor, Tensor]:
        labels = torch.randint(CLASSES, (agents, 500), generator=g)
        return torch.rand(agents, 500, FEATURES, generator=g), labels

    return meta_learning(drawn(), drawn(), CLASSES, batch=32)


def oracles(problem: Problem, K: int) -> Callable[[], None]:
    """Return DIAMOND's oracle calls and nothing else: no draws, no momenta, no mixing."""
    f, g = problem.f, problem.g
    draw = Draws(0, problem.everyone(), problem.upper, problem.lower)
    zeta = draw.zeta(0)
    chains = [draw.chain(t, K) for t in range(8)]
    x, y = (row.expand(problem.agents, -1).clone() for row in (problem.x0, problem.y0))
    now = {"t": 0}

    def calls() -> None:
        chain = chains[now["t"] % len(chains)]
        for _ in range(2):
            _, q = f.grad(x, y, chain.xi)
            for j in range(int(chain.k.max())):
                g.hess(x, y, chain.zetas[j], q)
            g.jac(x, y, chain.zetas[0], q)
            g.grad(x, y, zeta)
        now["t"] += 1

    return calls


def diamond(rounds: int) -> list[tuple[str, float, float, bool]]:
    """Compare a step of DIAMOND with its oracle calls, and 144 agents with nine."""
    things: dict[str, Callable[[], Any]] = {}
    for agents in (9, 144):
        problem = meta_problem(agents)
        weights = Dense(mixing.laplacian(graphs.erdos_renyi(agents, 0.3)))
        method = DIAMOND.published(0.1, 3.0, 0.1, 0.1, K=10, L=6.0)
        things[f"step, {agents} agents"] = stepper(method, problem, weights)
        if agents == 9:
            things["oracle calls alone"] = oracles(problem, K=10)
    keep_freed_memory()
    took = in_turn(things, rounds)
    for name, seconds in took.items():
        print(f"  {name:18} {1e3 * seconds:8.1f} ms")
    step, more = took["step, 9 agents"], took["step, 144 agents"]
    return [
        ("step / oracle calls", step / took["oracle calls alone"], 1.6, False),
        ("144 agents / 16 / 9 agents", more / step / 16, 1.25, False),
    ]


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

    def mix(*rows: Tensor) -> tuple[Tensor, ...]:
        ranks.maximum(0)
        before = ranks.waited
        mixed = mixer(*rows)
        inside.append(ranks.waited - before)
        return mixed

    held = problem.everyone()[network.held.start : network.held.stop]
    draws = Draws(0, held, problem.upper, problem.lower)
    world = World(OneByOne.of(problem.f), OneByOne.of(problem.g), draws, mix, mix, mix)
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


def peers(rounds: int) -> list[tuple[str, float, float, bool]]:
    """Compare the messages of a D-SOBA step on two ranks with bare ones of the same bytes."""
    told = spawn(partial(exchanges, rounds), processes=2)
    bare, inside = (
        median(max(pair) for pair in zip(*both, strict=True)) for both in zip(*told, strict=True)
    )
    print(f"  {'bare exchange':18} {1e3 * bare:8.1f} ms")
    print(f"  {'inside a step':18} {1e3 * inside:8.1f} ms")
    return [("messages of a step / bare ones", inside / bare, 1.5, False)]


PARTS = {"cleaning": cleaning, "sparse": sparse, "diamond": diamond, "peers": peers}


def main() -> int:
    """Run the parts asked for and say which ratios miss their goals."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    words.add_argument("--rounds", type=int, default=31)
    args = words.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        words.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    missed = 0
    for name in args.parts or PARTS:
        print(name)
        for text, ratio, goal, at_least in PARTS[name](args.rounds):
            good = ratio >= goal if at_least else ratio <= goal
            missed += not good
            sign = ">=" if at_least else "<="
            print(f"  {text:30} {ratio:5.2f}  goal {sign} {goal}  {'' if good else 'MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
