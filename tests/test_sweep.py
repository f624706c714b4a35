"""A sweep is its runs, done at once."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from cases import lazy_ring, quadratic, tanh_problem
from test_conformance import CASES, COUNTED

from dsbo import (
    DSOBA,
    MADSBO,
    SOBA,
    Dense,
    Diverged,
    OnePeer,
    Peers,
    Problem,
    Sparse,
    conformance,
    run,
    sweep,
)

METHOD = DSOBA(0.05, 0.1, 0.1, 0.5)


def agree(trace, alone):
    conformance.equals(trace.state, alone.state, 1e-12)
    assert [row.keys() for row in trace.rows] == [row.keys() for row in alone.rows]
    for mine, its in zip(trace.rows, alone.rows, strict=True):
        for name in mine.keys() - {"seconds"}:
            if name in (*COUNTED, "step"):
                assert mine[name] == its[name], name
            else:
                assert math.isclose(mine[name], its[name], rel_tol=1e-9, abs_tol=1e-12), name
    for told in ("algorithm", "seed", "problem", "data", "network", "steps", "every"):
        assert trace.provenance[told] == alone.provenance[told]


COMPILED = ("dsoba", "madsbo", "diamond", "diamond full sum", "sparkle mixed GT")


@pytest.mark.parametrize(
    ("name", "compiled"), [*((name, False) for name in CASES), *((name, True) for name in COMPILED)]
)
def test_each_run_is_what_it_is_alone(name, compiled, monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, *_, **__: graph)
    _, problem = quadratic(noise=0.5)
    method = CASES[name].algorithm
    network = None if method.centralised else Dense(lazy_ring(5))
    step = next(name for name in ("beta", "gamma", "c") if name in method.schedules)
    other = replace(method, **{step: getattr(method, step)(0) / 2})
    runs = list(product((method, other), (3, 4)))
    swept = sweep(runs, problem, network, steps=7, every=3, compile=compiled)
    for trace, (algorithm, seed) in zip(swept, runs, strict=True):
        agree(trace, run(algorithm, problem, network, steps=7, every=3, seed=seed))


@pytest.mark.parametrize("network", [Sparse(lazy_ring(4)), OnePeer(4)], ids=repr)
def test_losses_by_autograd_and_other_networks(network):
    problem, runs = tanh_problem(4), [(METHOD, 1), (replace(METHOD, alpha=0.01), 2)]
    for trace, (algorithm, seed) in zip(
        sweep(runs, problem, network, steps=12, every=5), runs, strict=True
    ):
        agree(trace, run(algorithm, problem, network, steps=12, every=5, seed=seed))


def test_one_run_that_diverges_does_not_touch_the_others():
    _, problem = quadratic(noise=0.5)
    network, wild = Dense(lazy_ring(5)), replace(METHOD, beta=1e60)
    good, bad = sweep([(METHOD, 0), (wild, 0)], problem, network, steps=20, every=1)
    agree(good, run(METHOD, problem, network, steps=20, every=1))
    with pytest.raises(Diverged) as alone:
        run(wild, problem, network, steps=20, every=1)
    told = {"step": alone.value.step, "variable": alone.value.variable}
    assert bad.provenance["diverged"] == told
    assert len(bad.rows) == len(alone.value.trace.rows)
    conformance.equals(bad.state, alone.value.trace.state, 1e-12 * float(bad.state.y.abs().max()))


def test_finite_numbers_whose_sum_overflows_have_not_diverged():
    start, data = torch.full((3000,), 60.0, dtype=torch.float16), [torch.zeros(1).half()] * 2
    problem = Problem.from_losses(flat, flat, start, start, data, data)
    (trace,) = sweep([(METHOD, 0)], problem, Dense(lazy_ring(2)), steps=2, measure=lambda *_: {})
    assert "diverged" not in trace.provenance


def flat(x, y, batch):
    return (x * 0).sum() + (y * 0).sum() + batch.sum() * 0


def test_differences_are_counted_as_in_a_run_or_refused():
    problem, network = quadratic()[1].first_order(), Dense(lazy_ring(5))
    (trace,) = sweep([(METHOD, 0)], problem, network, steps=6, compile=False)
    alone = run(METHOD, problem, network, steps=6)
    conformance.equals(trace.state, alone.state, 1e-6)  # differences make rounding larger
    assert [trace.rows[-1][k] for k in COUNTED] == [alone.rows[-1][k] for k in COUNTED]
    drawn = CASES["mdbo"].algorithm
    with pytest.raises(ValueError, match=r"take full_sum=True, or run one after another"):
        sweep([(drawn, 0)], problem, network, steps=1)


def test_errors_of_measure_pass_with_the_traces():
    def measure(*_):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        sweep([(METHOD, 0)], quadratic()[1], Dense(lazy_ring(5)), steps=1, measure=measure)
    assert len(caught.value.traces) == 1
    with pytest.raises(ValueError, match="a metric is called 'step'"):
        sweep([(METHOD, 0)], quadratic()[1], Dense(lazy_ring(5)), 1, measure=named_step)


def named_step(*_):
    return {"step": 7.0}


def test_a_sweep_in_which_all_diverge_ends():
    _, problem = quadratic()
    wild = replace(METHOD, beta=1e60)
    traces = sweep([(wild, 0), (wild, 1)], problem, Dense(lazy_ring(5)), steps=1000, every=1)
    assert all(len(trace.rows) < 20 for trace in traces)


@pytest.mark.parametrize(
    ("runs", "network", "says"),
    [
        ([], Dense(lazy_ring(5)), "there are no runs"),
        ([(METHOD, 0), (MADSBO(0.1, 0.1, 0.1, 0.1), 0)], Dense(lazy_ring(5)), "their class"),
        (
            [(MADSBO(0.1, 0.1, 0.1, 0.1, T_y=n), 0) for n in (1, 2)],
            Dense(lazy_ring(5)),
            "differ in T_y",
        ),
        ([(METHOD, -1)], Dense(lazy_ring(5)), "seed must be at least 0, got -1"),
        ([(METHOD, 2**63)], Dense(lazy_ring(5)), r"seed must be below 2\*\*63"),
        ([(SOBA(0.1, 0.1, 0.1, 0.5), 0), (SOBA(0.1, 0.1, 0.1), 0)], None, "which schedules"),
        ([(METHOD, 0)], Peers(lazy_ring(5)), "give Dense, Sparse or PushPull"),
    ],
)
def test_what_is_no_sweep_is_refused(runs, network, says):
    with pytest.raises(ValueError, match=says):
        sweep(runs, quadratic()[1], network, steps=1)
