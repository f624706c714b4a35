"""Steps of whole methods: against their floor, the way of scripts, JAX, and one another."""

from __future__ import annotations

import importlib.util
import math
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from timing import Found, Ratio, Thing, in_own_process, in_turn, nothing_compiled
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from dsbo import DIAMOND, DSOBA, Dense, Network, Problem, graphs, mixing, run, sweep
from dsbo.allocator import keep_freed_memory
from dsbo.compiled import Compiled
from dsbo.whole import whole_step
from dsbo.world import Draws, World
from dsbo_book.experiments import tasks
from dsbo_book.problems import hyper_cleaning, meta_learning

Loss = Callable[[Tensor, Tensor], Tensor]
N, BATCH, FEATURES, HIDDEN, CLASSES, SAMPLES = 10, 50, 784, 300, 10, 5000
STEPS = {"alpha": 100.0, "beta": 0.1, "gamma": 0.1, "theta": 0.2}


def ring() -> Dense:
    """Return the network of the cleaning problem."""
    return Dense(mixing.uniform(graphs.ring(N)))


def cleaning_problem() -> Problem:
    """Return the cleaning problem at paper scale on random pixels, which cost what real ones do."""
    g = torch.Generator().manual_seed(0)

    def drawn(m: int) -> tuple[Tensor, Tensor]:
        labels = torch.randint(CLASSES, (N, m), generator=g)
        return torch.rand(N, m, FEATURES, generator=g), labels

    train, clean = drawn(SAMPLES), drawn(1000)
    test = clean[0][0], clean[1][0]
    return hyper_cleaning(train, clean, test, train[1], CLASSES, HIDDEN, batch=BATCH)


def cleaning_setting() -> tuple[DSOBA, Problem, Dense]:
    """Return D-SOBA on the cleaning problem."""
    return DSOBA(**STEPS), cleaning_problem(), ring()


def stepper(
    method: Any, problem: Problem, weights: Network, compiled: bool = False, period: int = 2**62
) -> Thing:
    """Return a function that does one more iteration each time it is called, as a run does.

    After ``period`` iterations it draws the same samples again.
    """
    sent, calls = Counter[str](), Counter[str]()
    f, g = problem.f.counted(calls), problem.g.counted(calls)
    draws = Draws(0, problem.everyone(), problem.upper, problem.lower)
    world = World(f, g, draws, *weights.levels.mixers(problem.x0, sent))
    rows = [row.expand(problem.agents, -1).clone() for row in (problem.x0, problem.y0)]
    now, step = {"t": 0, "state": method.init(*rows)}, method.step
    if compiled:
        step = whole_step(method, world, now["state"], (calls, sent), sums)
        if step is None:
            step, world = method.step, world._replace(f=Compiled(f), g=Compiled(g))

    def advance() -> None:
        with torch.no_grad():
            now["state"] = step(now["t"] % period, now["state"], world)
            now["t"] += 1
            if not compiled:
                sums(now["state"]).tolist()

    return advance


def compiling(setting: Callable[[], tuple[Any, Problem, Network]]) -> float:
    """Return the seconds from nothing to the first compiled step."""
    with nothing_compiled(), in_own_process(partial(first_step, setting)) as once:
        return float(once())


def first_step(setting: Callable[[], tuple[Any, Problem, Network]]) -> Thing:
    """Return a function that makes a compiled step and tells the seconds it took."""
    method, problem, weights = setting()

    def once() -> float:
        started = time.perf_counter()
        stepper(method, problem, weights, compiled=True)()
        return time.perf_counter() - started

    return once


def sums(state: Any) -> Tensor:
    """Return by what a run sees whether all is finite."""
    return torch.stack([part.sum() for part in state])


def floor(problem: Problem, W: Tensor, device: torch.device | None = None) -> Thing:
    """Return the matrix products that no implementation of the step can avoid.

    The two levels need three products of the batch with a matrix of the first layer's shape (the
    two forward passes and the one with z) and three outer products of that shape (∇₂f, ∇₂g, Hz);
    and x, y and z are mixed.
    """
    a = torch.rand(N, BATCH, FEATURES, device=device)
    weight = torch.rand(N, FEATURES, HIDDEN, device=device)
    back = torch.rand(N, BATCH, HIDDEN, device=device)
    mixed = bare_mixing(problem, W)

    def products() -> None:
        for _ in range(3):
            torch.bmm(a, weight)
            torch.bmm(a.mT, back)
        mixed()

    return products


def bare_mixing(problem: Problem, W: Tensor) -> Thing:
    """Return the three products with W of a step."""
    sizes = problem.d, problem.p, problem.p
    x, y, z = (torch.rand(problem.agents, size).to(W) for size in sizes)
    return lambda: [torch.mm(W, rows) for rows in (x, y, z)]


def scripts_cleaning() -> Thing:
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

    def upper(x: Tensor, y: Tensor, a: Tensor, c: Tensor) -> Tensor:  # noqa: ARG001
        return cross_entropy(logits_of(y, a), c)

    def lower(x: Tensor, y: Tensor, a: Tensor, c: Tensor, e: Tensor) -> Tensor:
        losses = cross_entropy(logits_of(y, a), c, reduction="none")
        return (torch.sigmoid(x[e]) * losses).mean() + 1e-3 * (y * y).sum()

    return scripts_way(problem, W, upper, lower, STEPS, five_graphs)


def five_graphs(f: Loss, g: Loss, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    """Return u_x, u_y, v, Jz and Hz of one agent, each from a graph of its own."""
    (u_x,) = torch.autograd.grad(f(x, y), x, materialize_grads=True)
    (u_y,) = torch.autograd.grad(f(x, y), y)
    (v,) = torch.autograd.grad(g(x, y), y)
    (again,) = torch.autograd.grad(g(x, y), y, create_graph=True)
    (hz,) = torch.autograd.grad(again, y, grad_outputs=z)
    (again,) = torch.autograd.grad(g(x, y), y, create_graph=True)
    (jz,) = torch.autograd.grad(again, x, grad_outputs=z)
    return u_x, u_y, v, jz, hz


def two_graphs(f: Loss, g: Loss, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    """Return u_x, u_y, v, Jz and Hz of one agent, from one graph a level."""
    u_x, u_y = torch.autograd.grad(f(x, y), (x, y))
    (v,) = torch.autograd.grad(g(x, y), y, create_graph=True)
    jz, hz = torch.autograd.grad(v, (x, y), grad_outputs=z)
    return u_x, u_y, v.detach(), jz, hz


def scripts_way(
    problem: Problem, W: Tensor, upper: Any, lower: Any, steps: dict[str, float], products: Any
) -> Thing:
    """Return a step of D-SOBA as a loop over agents."""
    rng, agents = np.random.default_rng(0), range(problem.agents)
    x, y = (row.expand(problem.agents, -1).clone() for row in (problem.x0, problem.y0))
    state = {"x": x, "y": y, "z": torch.zeros_like(y), "h": torch.zeros_like(x)}
    above, below = problem.upper.data, problem.lower.data

    def advance() -> None:
        x, y, z, h = (state[k] for k in "xyzh")
        new: dict[str, list[Tensor]] = {k: [] for k in "xyzh"}
        for i in agents:
            rows = (
                rng.integers(part[0].shape[1], size=problem.lower.size) for part in (above, below)
            )
            up, low = map(torch.as_tensor, rows)
            u, w = [part[i, up] for part in above], [part[i, low] for part in below]
            at = x[i].clone().requires_grad_(), y[i].clone().requires_grad_(), z[i]
            u_x, u_y, v, jz, hz = products(
                lambda x, y, u=u: upper(x, y, *u), lambda x, y, w=w: lower(x, y, *w), *at
            )
            new["x"].append(x[i] - steps["alpha"] * h[i])
            new["y"].append(y[i] - steps["beta"] * v)
            new["z"].append(z[i] - steps["gamma"] * (hz - u_y))
            new["h"].append((1 - steps["theta"]) * h[i] + steps["theta"] * (u_x - jz))
        for k in "xyz":
            state[k] = W @ torch.stack(new[k])
        state["h"] = torch.stack(new["h"])

    return advance


def cleaning(rounds: int) -> Found:
    """Time a step of D-SOBA that cleans data: its floor, this package, the way of scripts."""
    method, problem, weights = cleaning_setting()
    W = weights.weights(problem.x0)(0)
    keep_freed_memory()
    mix = weights.mixer(problem.x0, Counter())
    like = [torch.rand(N, size) for size in (problem.d, problem.p, problem.p)]
    things = {
        "floor": floor(problem, W),
        "bare products with W": bare_mixing(problem, W),
        "mixing": lambda: mix(*like),
        "eager": stepper(method, problem, weights),
        "compiled": stepper(method, problem, weights, compiled=True),
    }
    with in_own_process(scripts_cleaning) as script:
        took = in_turn({"loop over agents": script, **things}, rounds)
    took["compiling"] = compiling(cleaning_setting)
    return Found(
        took,
        [
            Ratio("eager / floor", took["eager"] / took["floor"], 1.95),
            Ratio("compiled / floor", took["compiled"] / took["floor"], 1.5),
            Ratio("mixing / bare products", took["mixing"] / took["bare products with W"], 1.7),
            Ratio("loop / eager", took["loop over agents"] / took["eager"], 3.5, True),
            Ratio("loop / compiled", took["loop over agents"] / took["compiled"], 4.5, True),
        ],
    )


def logistic_setting() -> tuple[DSOBA, Problem, Dense]:
    """Return Experiment 1 of D-SOBA on made-up data: twenty agents, batches of twenty."""
    return (
        DSOBA(10.0, 0.3, 0.3, 0.2),
        tasks.drawn_logistic(heterogeneity=0.5, seed=0),
        Dense(mixing.uniform(graphs.ring(20))),
    )


def scripts_logistic() -> Thing:
    """Return the step as a loop over agents with one graph a level."""
    _, problem, weights = logistic_setting()
    k = problem.d

    def upper(x: Tensor, y: Tensor, a: Tensor, c: Tensor) -> Tensor:
        return cross_entropy(a @ y.view(k, -1), c) + 0.5e-3 * (x * x).sum()

    def lower(x: Tensor, y: Tensor, a: Tensor, c: Tensor) -> Tensor:
        Y = y.view(k, -1)
        return cross_entropy(a @ Y, c) + (torch.exp(x) * (Y * Y).sum(1)).sum() / y.numel()

    steps = {"alpha": 10.0, "beta": 0.3, "gamma": 0.3, "theta": 0.2}
    W = weights.weights(problem.x0)(0)
    return scripts_way(problem, W, upper, lower, steps, two_graphs)


SCANNED = 64
"""Iterations of one `lax.scan`."""


def jax_logistic() -> Thing:
    """Return `SCANNED` steps by JAX: gradients mapped over agents, all in one `lax.scan`."""
    import jax
    import jax.numpy as jnp

    _, problem, weights = logistic_setting()
    n, k, b = problem.agents, problem.d, problem.lower.size
    above, below = (
        [jnp.asarray(p.numpy()) for p in s.data] for s in (problem.upper, problem.lower)
    )
    W = jnp.asarray(weights.W, jnp.float32)

    def loss(Y: Any, a: Any, c: Any) -> Any:
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(a @ Y), c[:, None], 1))

    def f(x: Any, y: Any, a: Any, c: Any) -> Any:
        return loss(y.reshape(k, -1), a, c) + 0.5e-3 * (x * x).sum()

    def g(x: Any, y: Any, a: Any, c: Any) -> Any:
        Y = y.reshape(k, -1)
        return loss(Y, a, c) + (jnp.exp(x) * (Y * Y).sum(1)).sum() / y.size

    def directions(x: Any, y: Any, z: Any, up: Any, low: Any) -> Any:
        u_x, u_y = jax.grad(f, (0, 1))(x, y, *up)
        v, pull = jax.vjp(lambda x, y: jax.grad(g, 1)(x, y, *low), x, y)
        jz, hz = pull(z)
        return u_x, u_y, v, jz, hz

    def step(state: Any, key: Any) -> Any:
        x, y, z, h = state
        keys, i = jax.random.split(key), jnp.arange(n)[:, None]
        rows = [
            jax.random.randint(own, (n, b), 0, part[0].shape[1])
            for own, part in zip(keys, (above, below), strict=True)
        ]
        up, low = ([p[i, r] for p in s] for s, r in zip((above, below), rows, strict=True))
        u_x, u_y, v, jz, hz = jax.vmap(directions)(x, y, z, up, low)
        moved = (W @ (x - 10 * h), W @ (y - 0.3 * v), W @ (z - 0.3 * (hz - u_y)))
        return (*moved, 0.8 * h + 0.2 * (u_x - jz)), None

    scan = jax.jit(lambda state, keys: jax.lax.scan(step, state, keys)[0])
    zeros = [jnp.zeros((n, size), jnp.float32) for size in (k, problem.p, problem.p, k)]
    now = {"state": tuple(zeros), "key": jax.random.PRNGKey(0)}

    def advance() -> None:
        now["key"], own = jax.random.split(now["key"])
        now["state"] = scan(now["state"], jax.random.split(own, SCANNED))
        jax.block_until_ready(now["state"])

    return advance


def logistic(rounds: int) -> Found:
    """Time a step of D-SOBA on Experiment 1: a loop over agents, this package, JAX."""
    method, problem, weights = logistic_setting()
    keep_freed_memory()
    draws = Draws(0, problem.everyone(), problem.upper, problem.lower)
    now = {"t": 0}

    def drawn() -> None:
        for _ in range(SCANNED):
            draws.numbers(now["t"], 0)
            draws.numbers(now["t"], 1)
            now["t"] += 1

    def many(thing: Thing) -> Thing:
        return lambda: [thing() for _ in range(SCANNED)] and None

    things = {
        "eager": stepper(method, problem, weights),
        f"{SCANNED} compiled": many(stepper(method, problem, weights, compiled=True)),
        f"draws of {SCANNED}": drawn,
    }
    with ExitStack() as others:
        things["loop over agents"] = others.enter_context(in_own_process(scripts_logistic))
        if importlib.util.find_spec("jax"):
            jax = others.enter_context(in_own_process(jax_logistic))
            things[f"{SCANNED} by lax.scan"] = jax
        took = in_turn(things, rounds)
    took["compiling"] = compiling(logistic_setting)
    loop = took["loop over agents"]
    one = {name: took[name] / SCANNED for name in took if str(SCANNED) in name}
    compiled = one[f"{SCANNED} compiled"]
    ratios = [
        Ratio("compiled / loop", compiled / loop, 0.06),
        Ratio("draws / (0.06 loop)", one[f"draws of {SCANNED}"] / (0.06 * loop), 0.04),
    ]
    if f"{SCANNED} by lax.scan" in one:
        ratios.append(
            Ratio("lax.scan / compiled", one[f"{SCANNED} by lax.scan"] / compiled, 1, True)
        )
    return Found(took, ratios)


def sweeps(rounds: int) -> Found:
    """Time sixteen runs of Experiment 1, four seeds by four steps, singly and in one batch.

    A thousand iterations each, compiled once before; nothing is measured but the end.
    """
    _, problem, weights = logistic_setting()
    methods = [DSOBA(a, b, b, 0.2) for a, b in product((3.0, 10.0), (0.1, 0.3))]
    runs = list(product(methods, range(4)))
    settings = {"steps": 1000, "every": 1000, "compile": True, "measure": lambda *_: {}}
    things = {
        "one after another": lambda: [
            run(m, problem, weights, seed=s, **settings) for m, s in runs
        ],
        "in one batch": lambda: sweep(runs, problem, weights, **settings),
    }
    took = in_turn(things, 1 + rounds // 12)
    value = took["one after another"] / took["in one batch"]
    return Found(took, [Ratio("one after another / in one batch", value, 4, True)])


def meta_problem(agents: int) -> Problem:
    """Return the meta-learning problem on random pixels, which cost what MNIST's do."""
    g = torch.Generator().manual_seed(0)

    def drawn() -> tuple[Tensor, Tensor]:
        labels = torch.randint(CLASSES, (agents, 500), generator=g)
        return torch.rand(agents, 500, FEATURES, generator=g), labels

    return meta_learning(drawn(), drawn(), CLASSES, batch=32)


def oracles(problem: Problem, K: int) -> Thing:
    """Return DIAMOND's oracle calls and nothing else: no draws, no momenta, no mixing."""
    f, g = problem.f, problem.g
    draw = Draws(0, problem.everyone(), problem.upper, problem.lower)
    zeta = draw.zeta(0)
    chains = [draw.chain(t, K) for t in range(8)]
    x, y = (row.expand(problem.agents, -1).clone() for row in (problem.x0, problem.y0))
    now = {"t": 0}

    def calls() -> None:
        chain = chains[now["t"] % len(chains)]
        with torch.no_grad():
            for _ in range(2):
                _, q = f.grad(x, y, chain.xi)
                for j in range(int(chain.k.max())):
                    g.hess(x, y, chain.zetas[j], q)
                g.jac(x, y, chain.zetas[0], q)
                g.grad(x, y, zeta)
        now["t"] += 1

    return calls


def eight_times(thing: Thing) -> None:
    """Do a thing for each of eight chains."""
    for _ in range(8):
        thing()


def diamond(rounds: int) -> Found:
    """Time a step of DIAMOND against its oracle calls."""
    agents, K = 9, 10
    problem = meta_problem(agents)
    weights = Dense(mixing.laplacian(graphs.erdos_renyi(agents, 0.3)))
    method = DIAMOND.published(0.1, 3.0, 0.1, 0.1, K=K, L=6.0)
    # Both cycle through the same eight chains, so that chance does not decide.
    things = {
        "step": stepper(method, problem, weights, period=8),
        "oracle calls": oracles(problem, K),
    }
    keep_freed_memory()
    eight = {
        name: lambda thing=thing: [thing() for _ in range(8)] for name, thing in things.items()
    }
    took = in_turn(eight, rounds)
    return Found(took, [Ratio("step / oracle calls", took["step"] / took["oracle calls"], 1.15)])
