"""Whatever PyTorch takes by default for a new tensor, all that is computed has the same bits.

The device ``meta`` stands for a GPU: what lands on it by mistake does not fit the rest.
"""

import contextlib
from functools import partial

import numpy as np
import pytest
import torch
from cases import STEPS, coefficients, lazy_ring, tanh_problem
from torch.utils.data import Dataset

from dsbo import DSOBA, Dense, OnePeer, Sparse, conformance, run, sweep
from dsbo.hypergrad import exact
from dsbo.network import Peers, spawn
from dsbo.problems import Problem, Quadratic
from dsbo_book import claims
from dsbo_book.experiments import EXPERIMENTS, networks, rest, tasks
from dsbo_book.experiments.running import run_study
from dsbo_book.experiments.study import Study
from dsbo_book.problems import cleaning


@contextlib.contextmanager
def by_default(dtype=torch.float32, device="cpu"):
    torch.set_default_dtype(dtype)
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


DEFAULTS = {
    "float64": partial(by_default, dtype=torch.float64),
    "meta": partial(by_default, device="meta"),
    "with meta": partial(torch.device, "meta"),
}


def bits(value):
    """All numbers in a result, but for seconds."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.numpy().tobytes()
    if isinstance(value, dict):
        return {name: bits(part) for name, part in value.items() if name != "seconds"}
    if isinstance(value, list | tuple):
        return [bits(part) for part in value]
    return repr(value)


def outcome(trace):
    return [trace.rows, trace.state]


def starts():
    """What one cell of each method starts with, by the problem; of all experiments."""
    met = {}
    for experiment in EXPERIMENTS.values():
        study = experiment.study("quick")
        for start in map(study.start, study.cells):
            key = type(start.algorithm), type(start.network)
            met.setdefault(start.problem.func.__name__, {}).setdefault(key, start)
    return {name: list(those.values()) for name, those in met.items()}


def all_of(name):
    """Two steps of every method on a problem, with nothing made before."""
    for made in (tasks.loaded, tasks._reduced, networks.regular, networks.random):
        made.cache_clear()
    return [outcome(two_steps(start)) for start in starts()[name]]


def two_steps(start):
    network = None if start.algorithm.centralised else start.network
    return run(start.algorithm, start.problem(), network, 2, every=2)


class Rows(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, k):
        return np.array([k, 1.0]), k / 3


def of_data(data):
    def upper(x, y, batch):
        a, c = batch
        return ((a @ y - c).square().mean() + (x - 1).square().sum()).double()

    def lower(x, y, batch):
        a, c = batch
        return (a @ y - c - x.sum()).square().mean().double()

    start = torch.zeros(2, dtype=torch.float64, device="cpu")
    problem = Problem.from_losses(upper, lower, start, start, data, data, batch=2)
    return outcome(run(DSOBA(**STEPS), problem, network(), 3))


def network(kind=Dense, agents=3):
    return kind(lazy_ring(agents))


def listed():
    return Quadratic(**{name: part.tolist() for name, part in coefficients(N=3).items()})


def resumed(folder):
    again = partial(run, DSOBA(**STEPS), listed(), network(), every=1, checkpoint=folder)
    again(2, resume=True)
    return outcome(again(4, resume=True))


def over_processes():
    return outcome(run(DSOBA(**STEPS), listed(), network(Peers), 3))


def told(job, default):
    with default():
        return job()


def of_kept(folder):
    begin = EXPERIMENTS["nonlinear"].study("quick")
    study = Study(begin.cells[:2], lambda cell: begin.start(cell)._replace(steps=3, every=1))
    return [trace.rows for trace in run_study(study, folder)]


PACKAGE = {
    "lists": lambda _: outcome(run(DSOBA(**STEPS), listed(), network(), 3)),
    "noise": lambda _: outcome(
        run(DSOBA(**STEPS), Quadratic.random(3, 2, 2, noise=0.1), network(Sparse), 3)
    ),
    "one peer": lambda _: outcome(run(DSOBA(**STEPS), Quadratic.random(4, 2, 2), OnePeer(4), 3)),
    "fixed point": lambda _: listed().fixed_point(lazy_ring(3).tolist(), 0.1, 0.2, 0.3),
    "solution": lambda _: listed().solution(shared=False),
    "rest": lambda _: rest.dsoba(tanh(), network(), 0.01, 0.02, 0.02),
    "hypergradient": lambda _: hypergradient(listed()),
    "arrays": lambda _: of_data([(np.eye(2), np.ones(2))] * 3),
    "data set": lambda _: of_data([Rows()] * 3),
    "sweep": lambda _: [
        outcome(trace)
        for trace in sweep([(DSOBA(**STEPS), k) for k in (0, 1)], noisy(), network(), steps=3)
    ],
    "checkpoint": resumed,
    "study": of_kept,
    "conformance": lambda _: conformance.check(DSOBA(**STEPS), noisy(), lazy_ring(3)),
    "claim": lambda _: claims.claim("a half", torch.full((2,), 0.5, device="cpu"), 0.5, tol=1e-9),
    "start of a network": lambda _: cleaning.initial_network(3, 4, 2, seed=0),
}


def noisy():
    return Quadratic.random(3, 2, 2, noise=0.1)


def tanh():
    with torch.device("cpu"):
        return tanh_problem(3)


def hypergradient(problem):
    rows = problem.x0.expand(3, -1), problem.y0.expand(3, -1)
    everyone = problem.everyone()
    batches = problem.upper.full(everyone), problem.lower.full(everyone)
    return exact(problem.f, problem.g, *rows, *batches)


# The two that take seconds only to be made are for `nox -s fuzz`.
SLOW = {"even_logistic": pytest.mark.fuzz, "meta": pytest.mark.fuzz}


@pytest.mark.parametrize("name", [pytest.param(n, marks=SLOW.get(n, ())) for n in starts()])
def test_every_method_on_every_problem_of_the_book_has_the_same_bits(name):
    want = bits(all_of(name))
    for default, meant in DEFAULTS.items():
        with meant():
            assert bits(all_of(name)) == want, default


@pytest.mark.parametrize("name", PACKAGE)
def test_everything_else_of_the_package_has_the_same_bits(name, tmp_path):
    want = bits(PACKAGE[name](tmp_path / "as usual"))
    for default, meant in DEFAULTS.items():
        with meant():
            assert bits(PACKAGE[name](tmp_path / default)) == want, default


@pytest.mark.fuzz
def test_processes_have_the_same_bits():
    want = bits(spawn(over_processes, 2, timeout=30)[0])
    for default, meant in DEFAULTS.items():
        assert bits(spawn(partial(told, over_processes, meant), 2, timeout=30)[0]) == want, default


@pytest.mark.parametrize(
    "start",
    [
        lambda problem, network: run(DSOBA(**STEPS), problem.to("meta"), network, 1),
        lambda problem, network: run(DSOBA(**STEPS), problem, network, 1, device="meta"),
        lambda problem, network: sweep([(DSOBA(**STEPS), 0)], problem, network, 1, device="meta"),
    ],
)
def test_a_device_that_computes_nothing_is_refused(start):
    with pytest.raises(ValueError, match=r"nothing can be computed on the device 'meta'.*Give cpu"):
        start(listed(), network())
