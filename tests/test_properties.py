"""Whatever a user hands in: it runs and equals a naive loop, or an error of ours says what to do.

`nox -s tests` tries a few fixed examples of each property, `nox -s fuzz` many new ones.
"""

import math
import re
import traceback
from dataclasses import MISSING, fields
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.func import grad, jacrev
from torch.utils.data import DataLoader, TensorDataset

import dsbo
from dsbo import DSOBA, Dense, Diverged, Problem, Sparse, graphs, keys, mixing, run, schedules
from dsbo.algorithms import ALGORITHMS
from dsbo.keys import generator
from dsbo.problems import Quadratic

PACKAGE = str(Path(dsbo.__file__).parent)
RAW = re.compile(
    r"not supported between|unsupported operand|has no attribute|not iterable|not subscriptable"
    r"|can't multiply|cannot be interpreted|could not convert|only integer|ambiguous"
    r"|inhomogeneous|must be real number|cannot convert|too large to convert"
)
REMEDY = re.compile(
    r"\b(must|need|needs|give|take|use|convert|pass|make|build|add|clean|move|remove|check"
    r"|load|choose|resume|pip|trim|leave)\b|>= |> 0",
    re.IGNORECASE,
)
ODD = st.sampled_from(
    [None, True, False, 0, -1, 1, 2, 3, 2.0, 2.5, -0.5, math.nan, math.inf, 2**63, 2**70, 10**400,
     "3", "a", "", [], [1], (), {}, b"x", 1j, np.int64(2), np.float32(0.5), np.array(3),
     np.array([1, 2]), torch.tensor(2), torch.tensor(0.5), torch.zeros(2), object(), int, abs]
)  # fmt: skip


def outcome(work):
    """Return what ``work`` gives, or the error, which must be one of the package's own."""
    try:
        return work()
    except Exception as caught:
        error = caught
    if "loss was tried on agent 0's x, y and data" in "".join(getattr(error, "__notes__", ())):
        return error  # the user's own, or of PyTorch about shapes in the loss, with these
    assert isinstance(error, ValueError | TypeError | OSError | Diverged), repr(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    told = f"{type(error).__name__}: {error}"
    missing = "required positional argument" in told  # Python's own, and clear
    assert last.filename.startswith(PACKAGE) or missing, f"not ours, {last.filename}: {told}"
    assert not RAW.search(told), f"not said in our words: {told}"
    assert REMEDY.search(told) or missing, f"no remedy: {told}"
    return error


def failed(found):
    return isinstance(found, Exception)


# What may be asked for by number


@given(st.sampled_from(sorted(graphs.__all__)), st.lists(ODD, min_size=1, max_size=3))
def test_graphs(name, values):
    make = getattr(graphs, name)
    wanted = {"torus": 2, "erdos_renyi": 3}.get(name, 1)
    assume(not any(isinstance(v, int) and v > 10**6 for v in values))  # as many agents do not fit
    found = outcome(lambda: make(*values[:wanted]))
    if not failed(found):
        assert set(found) == set(range(len(found)))
        assert nx.is_connected(found.to_undirected())


@given(st.sampled_from(ALGORITHMS), st.data())
def test_settings_of_algorithms(cls, data):
    settings = {}
    for setting in fields(cls):
        if setting.init and (setting.default is MISSING or data.draw(st.booleans())):
            usual = st.sampled_from([0.1, 1, 0.5, schedules.Power(0.1)])
            counts = {"K": 3, "N": 3, "T": 2, "copies": 2, "q": 3, "inner": 2}
            if setting.name in counts or setting.type == "int":
                usual = st.just(3)
            settings[setting.name] = data.draw(st.one_of(usual, ODD))
    method = outcome(lambda: cls(**settings))
    if not failed(method):
        assert all(math.isfinite(value) for value in method.steps(3)), method


@given(st.sampled_from([schedules.Constant, schedules.Power, schedules.Momentum]), st.data())
def test_schedules(cls, data):
    values = data.draw(st.lists(ODD, min_size=1, max_size=len(fields(cls))))
    step = outcome(lambda: cls(*values))
    if not failed(step):
        assert all(isinstance(step(t), float) and step(t) >= 0 for t in (0, 1, 1000))
        assert step == cls(*values)
        assert repr(step) == repr(cls(*values))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "algorithm": ODD, "problem": ODD, "network": ODD, "steps": ODD, "seed": ODD,
            "every": ODD, "device": ODD, "chunk": ODD, "checkpoint_every": ODD,
            "measure": ODD.filter(lambda measure: not callable(measure)),
            "checkpoint": st.sampled_from([3, 1.5, [], b"x"]),
        },
    )
)  # fmt: skip
def test_arguments_of_a_run(arguments):
    usual = {"algorithm": DSOBA(0.1, 0.1, 0.1), "problem": Quadratic.random(2, 1, 1),
             "network": Dense(mixing.average(2)), "steps": 2}  # fmt: skip
    assume(not (isinstance(arguments.get("steps"), int) and arguments["steps"] > 100))
    found = outcome(lambda: run(**usual | arguments))
    if not failed(found):
        assert len(found.rows) >= 2


@given(
    st.lists(ODD, min_size=0, max_size=3),
    st.fixed_dictionaries({}, optional={"noise": ODD, "heterogeneity": ODD, "seed": ODD}),
)
def test_random_quadratics(sizes, more):
    assume(not any(isinstance(v, int) and v > 100 for v in sizes))
    found = outcome(lambda: Quadratic.random(*sizes, **more))
    if not failed(found):
        assert math.isfinite(found.upper_loss(found.x0[None], found.y0[None]))


# Weights


def doubly_stochastic(N, seed):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(4))
    return sum(s * np.eye(N)[rng.permutation(N)] for s in shares) * 0.9 + 0.1 / N


@st.composite
def weights(draw, N):
    """Weights of N agents, good and bad."""
    kind = draw(st.sampled_from(["good", "graph", "graph", "spoilt", "odd"]))
    seed = draw(st.integers(0, 99))
    if kind == "odd":
        return draw(ODD)
    if kind == "graph":
        G = nx.gnp_random_graph(N, draw(st.sampled_from([0.3, 0.8, 1.0])), seed=seed)
        for edge in draw(st.lists(st.sampled_from(sorted(G.edges)), max_size=2)) if G.edges else ():
            G.edges[edge]["weight"] = draw(st.sampled_from([1, 2, 0.5, 0, -1, math.nan, math.inf]))
        rule = draw(st.sampled_from([mixing.metropolis, mixing.laplacian, mixing.uniform]))
        return outcome(lambda: rule(draw(st.sampled_from([G, G, G.to_directed()]))))
    W = doubly_stochastic(N, seed)
    if kind == "spoilt":
        i, j = seed % N, seed // 7 % N
        W[i, j] = draw(st.sampled_from([math.nan, math.inf, -0.1, 0.0, 1.0, 1e-9]))
        W = draw(st.sampled_from([W, W[:, :-1], W[0], np.eye(N)[::-1], np.eye(N), 1j * np.eye(N)]))
    forms = [np.asarray, np.ndarray.tolist, lambda W: torch.tensor(W.copy())]
    return draw(st.sampled_from(forms if np.iscomplexobj(W) else [*forms, np.float32]))(W)


@given(st.integers(1, 5), st.data())
def test_weights(N, data):
    W = data.draw(weights(N))
    if failed(W):
        return
    kind = data.draw(st.sampled_from([Dense, Sparse]))
    network = outcome(lambda: kind(W))
    if failed(network):
        return
    given_ = np.asarray(W, np.float64)
    assert np.abs(network.W - given_).max() < 1e-6
    assert (network.W >= 0).all()
    assert np.allclose([network.W.sum(0), network.W.sum(1)], 1, rtol=0, atol=1e-6)
    assert network.rho < 1 or network.agents == 1
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((network.agents, 3)))
    (mixed,) = network.mixer(rows, dsbo.tally.Counter())(rows)
    torch.testing.assert_close(mixed, torch.from_numpy(network.W) @ rows, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", [Dense, Sparse])
def test_one_agent_that_is_far_above_the_others_costs_them_no_digit(kind):
    network = kind(mixing.metropolis(graphs.ring(8)))
    rows = torch.ones(8, 2).mul(torch.tensor([1.0, -1.0]))
    rows[0] *= 1e10
    (mixed,) = network.mixer(rows, dsbo.tally.Counter())(rows)
    want = torch.from_numpy(network.W).float() @ rows
    torch.testing.assert_close(mixed, want, rtol=1e-6, atol=0)
    alike = torch.full((8, 1), 1 / 3)
    assert torch.equal(*network.mixer(alike, dsbo.tally.Counter())(alike), alike)


# Problems, against a loop over agents


def parts_of(batch):
    if isinstance(batch, dict):
        return batch["a"], batch["c"]
    return batch if isinstance(batch, tuple | list) else (batch[..., :-1], batch[..., -1])


def lower(x, y, batch):
    a, c = parts_of(batch)
    x, y = (sum(part.values()) if isinstance(part, dict) else part for part in (x, y))
    return 0.25 * (a @ y - c).square().mean() + 0.3 * ((1 + x.square()) * (y - 1).square()).sum()


def upper(x, y, batch):
    x = sum(x.values()) if isinstance(x, dict) else x
    return lower(torch.zeros_like(x), y, batch) + 0.1 * x.square().sum()


class Mapped(torch.utils.data.Dataset):
    def __init__(self, a, c):
        self.a, self.c = a, c

    def __len__(self):
        return len(self.c)

    def __getitem__(self, i):
        return self.a[i], self.c[i]


FORMS = {
    "tuple": lambda a, c: (a, c),
    "list": lambda a, c: [a, c],
    "dict": lambda a, c: {"a": a, "c": c},
    "tensor": lambda a, c: torch.cat([a, c[:, None]], 1),
    "arrays": lambda a, c: (a.numpy(), c.numpy()),
    "TensorDataset": TensorDataset,
    "Dataset": Mapped,
    "strided": lambda a, c: (a.repeat_interleave(2, 0)[::2], c.repeat_interleave(2)[::2]),
    "graph": lambda a, c: (a.clone().requires_grad_() * 1, c),
}
SPOILT = {
    "DataLoader": lambda a, c: DataLoader(TensorDataset(a, c)),
    "nan": lambda a, c: (a * math.nan, c),
    "empty": lambda a, c: (a[:0], c[:0]),
    "columns": lambda a, c: (a[:, :-1], c),
    "rows": lambda a, c: (a, c[:-1]),
    "long": lambda a, c: (a, c.long()),
    "half": lambda a, c: (a.half(), c.half()),
    "other precision": lambda a, c: (a.double(), c.double()) if a.dtype == torch.float32 else
    (a.float(), c.float()),
    "objects": lambda a, c: (a.numpy().astype(object), c),
    "numbers": lambda a, c: (a.tolist(), c.tolist()),
    "sparse": lambda a, c: (a.to_sparse(), c),
    "meta": lambda a, c: (a.to("meta"), c.to("meta")),
    "one": lambda _, c: c[0],
    "text": lambda *_: "abc",
    "nothing": lambda *_: None,
    "generator": lambda a, c: iter([a, c]),
    "other dict": lambda a, c: {"b": a, "c": c},
    "masked": lambda a, c: (np.ma.masked_array(a.numpy()), c.numpy()),
}  # fmt: skip


@st.composite
def cases(draw, spoil):
    """What from_losses and run take, and the same as plain lists of tensors."""
    N, p = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    dtype = draw(st.sampled_from([torch.float64, torch.float64, torch.float32]))
    g = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    equal = draw(st.booleans())
    levels, shown = [], []
    form = draw(st.sampled_from(sorted(FORMS)))
    for _ in range(2):
        rows = [draw(st.integers(1, 5))] * N
        rows = rows if equal else [draw(st.integers(1, 5)) for _ in range(N)]
        own = [
            (torch.randn(m, p, generator=g, dtype=dtype), torch.randn(m, generator=g, dtype=dtype))
            for m in rows
        ]
        levels.append(own)
        shown.append([FORMS[form](*shard) for shard in own])
    start = torch.linspace(-0.5, 0.5, p, dtype=dtype)
    starts = {
        "one": (start, start),
        "dicts": ({"u": start}, {"v": start}),
        "leaf": (start.clone().requires_grad_(), start),
    }
    x0, y0 = starts[draw(st.sampled_from(sorted(starts)))]
    batch = draw(st.sampled_from([None, 1, 3, 7, np.int64(2)]))
    step = st.sampled_from([0.05, 0.1, np.float32(0.25), schedules.Power(0.2, 2.0, 0.5), 0])
    steps = {name: draw(step) for name in ("alpha", "beta", "gamma")}
    steps["theta"] = draw(st.sampled_from([1, 0.5, schedules.Power(1.0)]))
    seed, ridge = draw(st.sampled_from([0, 5, 2**40])), draw(st.sampled_from([0.0, 0.25]))
    W = doubly_stochastic(N, seed % 7)
    if spoil:
        what = draw(st.sampled_from(["shard", "level", "start", "batch", "step", "seed", "W"]))
        i, k = draw(st.integers(0, N - 1)), draw(st.integers(0, 1))
        if what == "shard":
            how, (a, c) = draw(st.sampled_from(sorted(SPOILT))), levels[k][i]
            shown[k][i] = SPOILT[how](a, c)
            if how == "long":  # of one agent alone these are data like others
                levels[k][i] = a, c.long().to(dtype)
        elif what == "level":
            shown[k] = draw(st.sampled_from([shown[k][:-1], tuple(shown[k]), iter(shown[k]), [], 3,
                                             shown[k][0], dict(enumerate(shown[k]))]))  # fmt: skip
        elif what == "start":
            bad = [start.long(), start * math.nan, start[:0], start.half(), start.tolist(), None,
                   start.to("meta"), start.numpy(), [start, start.float()], 3.0, start[0],
                   start * 1j, torch.cat([start, start])]  # fmt: skip
            x0, y0 = draw(st.permutations([x0, draw(st.sampled_from(bad))]))
        elif what == "batch":
            batch = draw(ODD)
        elif what == "step":
            steps[draw(st.sampled_from(sorted(steps)))] = draw(ODD)
        elif what == "seed":
            seed = draw(ODD)
        else:
            W = draw(weights(N))
            assume(not failed(W))
    return levels, (upper, lower, x0, y0, *shown, batch, ridge), steps, seed, W, start


def loop(levels, batch, ridge, steps, seed, W, start, T):
    """D-SOBA, an agent after the other, in double precision."""
    steps = {k: v if callable(v) else (lambda _, v=v: float(v)) for k, v in steps.items()}
    N, W = len(levels[0]), torch.from_numpy(np.asarray(W, np.float64))
    x, y = (start.double().expand(N, -1).clone() for _ in range(2))
    z, h = torch.zeros_like(y), torch.zeros_like(x)

    def drawn(level, i, t, stream):
        parts = [part.double() for part in levels[level][i]]
        if batch is None:
            return parts
        rows = generator(int(seed), i, t, stream).integers(len(parts[1]), size=int(batch))
        return [part[rows] for part in parts]

    def g(x, y, batch):
        return lower(x, y, batch) + ridge * y.square().sum()

    for t in range(T):
        a, b, c, theta = (steps[k](t) for k in ("alpha", "beta", "gamma", "theta"))
        found = []
        for i in range(N):
            xi, zeta = drawn(0, i, t, keys.UPPER), drawn(1, i, t, keys.LOWER)
            u_x, u_y = grad(upper, (0, 1))(x[i], y[i], xi)
            J, H = jacrev(grad(g, 1), (0, 1))(x[i], y[i], zeta)
            found.append((u_x, u_y, grad(g, 1)(x[i], y[i], zeta), J.mT @ z[i], H @ z[i]))
        u_x, u_y, v, Jz, Hz = map(torch.stack, zip(*found, strict=True))
        x, y, z = W @ (x - a * h), W @ (y - b * v), W @ (z - c * (Hz - u_y))
        h = (1 - theta) * h + theta * (u_x - Jz)
    return x, y, z, h


def made(arguments, steps, seed, W, T=4):
    *parts, ridge = arguments
    return run(DSOBA(**steps), Problem.from_losses(*parts, ridge=ridge), Dense(W), T, seed)


def same(trace, levels, arguments, steps, seed, W, start, T=4):
    want = loop(levels, *arguments[-2:], steps, seed, W, start, T)
    tol = 1e-12 if trace.state.x.dtype == torch.float64 else 2e-4
    for got, wanted in zip(trace.state, want, strict=True):
        size = max(1.0, float(wanted.abs().max()))
        assert float((got.double() - wanted).abs().max()) <= tol * size


@given(cases(spoil=False))
def test_what_is_right_runs_and_equals_a_loop(case):
    _, arguments, steps, seed, W, _ = case
    same(made(arguments, steps, seed, W), *case)
    assert not any(isinstance(part, torch.Tensor) and part.grad is not None for part in arguments)


@given(cases(spoil=True))
def test_what_is_odd_runs_and_equals_a_loop_or_is_told(case):
    _, arguments, steps, seed, W, start = case
    trace = outcome(lambda: made(arguments, steps, seed, W))
    shapes_fit = len(trace.state.x[0]) == len(start) if not failed(trace) else False
    if shapes_fit and trace.state.x.dtype in (torch.float32, torch.float64):
        same(trace, *case)
