"""Runs: what they refuse, what they record, and that nothing is lost."""

import contextlib
import errno
import itertools
import json
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import STEPS, lazy_ring, quadratic, t2, tanh_problem

from dsbo import (
    DIAMOND,
    DSOBA,
    MADSBO,
    MDBO,
    SOBA,
    SPARKLE,
    CheckpointError,
    Dense,
    Diverged,
    GossipDSBO,
    OnePeer,
    Peers,
    Problem,
    SecondOrder,
    Sparse,
    conformance,
    mixing,
    provenance,
    run,
    sweep,
)
from dsbo.checkpoint import FILE, Checkpoint
from dsbo.going import Going
from dsbo.projections import Box
from dsbo.tally import Tally

THETA = {**STEPS, "theta": 0.2}
SMALL = DSOBA(**THETA)


def small(problem=None, network=None, **settings):
    problem = t2() if problem is None else problem
    network = Dense(lazy_ring(4)) if network is None else network
    return run(SMALL, problem, network, **settings)


def test_rows_are_recorded_at_the_start_every_so_often_and_at_the_end():
    trace = small(steps=25, every=np.int64(10))
    assert trace["step"].tolist() == [0, 10, 20, 25]
    assert len(small(steps=400).rows) == 101
    assert set(trace.rows[0]) >= {
        "seconds", "upper_grads", "lower_grads", "jvps", "hvps", "rounds", "floats",
        "upper_loss", "hypergradient", "consensus_x", "consensus_y",
    }  # fmt: skip


def test_provenance_tells_what_made_the_rows():
    told = small(steps=3, seed=9).provenance
    assert told["algorithm"] == {"name": "DSOBA", **THETA}
    assert told["seed"] == 9
    assert told["steps"] == 3
    assert told["dtype"] == "float64"
    assert told["rho"] == pytest.approx(0.5)
    assert told["W"] == lazy_ring(4).tolist()
    assert told["device"]["type"] == "cpu"
    assert told["versions"]["torch"] == str(torch.__version__)
    assert json.loads(json.dumps(told)) == told


def test_weights_of_many_agents_are_told_by_their_checksum():
    told = small(quadratic(N=40)[1], Sparse(lazy_ring(40)), steps=1).provenance
    assert not {"W", "rho"} & told.keys()
    assert len(told["network"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"steps": 2.5}, TypeError, "steps must be a whole number, got 2.5"),
        ({"steps": True}, TypeError, "steps must be a whole number"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"every": 0}, ValueError, "every must be at least 1"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every must be at least 1"),
        ({"resume": True}, ValueError, "pass checkpoint="),
        ({"network": None}, ValueError, "needs a network of 4 agents"),
        ({"network": np.eye(4)}, TypeError, "network must be a Network"),
        ({"network": Dense(lazy_ring(5))}, ValueError, "5 agents, the problem 4"),
    ],
)
def test_bad_arguments_are_refused_with_the_value_and_the_remedy(arguments, error, says):
    with pytest.raises(error, match=says):
        run(SMALL, t2(), **{"network": Dense(lazy_ring(4)), "steps": 1, **arguments})


def test_a_centralised_algorithm_refuses_a_sparse_graph():
    with pytest.raises(ValueError, match="leave the network out"):
        run(SOBA(**STEPS), t2(), Dense(lazy_ring(4)), steps=1)


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf"), "0.1", True])
def test_bad_steps_are_refused_by_name(bad):
    with pytest.raises((ValueError, TypeError), match=r"DSOBA\.beta"):
        DSOBA(alpha=0.1, beta=bad, gamma=0.1)


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_diverging_run_names_step_and_variable_and_keeps_its_trace(tmp_path):
    network = Dense(lazy_ring(4))
    with pytest.raises(
        Diverged, match=r"not finite after step \d+.*smaller beta, the step"
    ) as caught:
        run(
            DSOBA(alpha=0.1, beta=1e200, gamma=0.1), t2(), network, steps=50, every=1,
            checkpoint=tmp_path,
        )  # fmt: skip
    error = caught.value
    assert error.variable == "y"
    assert error.trace.rows[-1]["step"] == error.step - 1
    assert all(part.isfinite().all() for part in error.trace.state)
    assert Checkpoint.read(tmp_path).rows == error.trace.rows


@pytest.mark.parametrize(("first", "second"), [(Dense, Peers), (Peers, Sparse)])
def test_what_sums_in_another_order_does_not_resume_and_says_why(tmp_path, first, second):
    algorithm = SPARKLE(alpha=0.01, beta=0.1, gamma=0.1)
    run(algorithm, t2(), first(lazy_ring(4)), steps=5, checkpoint=tmp_path)
    said = f"not bitwise: resume with {first.__name__}, or give another folder"
    with pytest.raises(CheckpointError, match=said):
        run(algorithm, t2(), second(lazy_ring(4)), steps=9, checkpoint=tmp_path, resume=True)


def test_a_resumed_run_must_be_the_same_run(tmp_path):
    again = partial(small, checkpoint=tmp_path, resume=True)
    assert again(steps=5).rows[-1]["step"] == 5  # where there is no checkpoint it starts anew
    with pytest.raises(CheckpointError, match=r"another run: seed was 0, is 1\..*another folder"):
        again(steps=500, every=1, seed=1)
    with pytest.raises(CheckpointError, match=r"every was 1, is 5\. Pass every=1; by default"):
        again(steps=500)
    with pytest.raises(CheckpointError, match="network was"):
        again(network=Dense(mixing.average(4)), steps=5, every=1)


def test_a_checkpoint_of_another_problem_or_a_longer_run_is_refused(tmp_path):
    network, (one, other) = Dense(lazy_ring(4)), (quadratic(N=4, seed=s)[1] for s in (0, 1))
    run(SMALL, one, network, steps=5, every=1, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="another run: data was"):
        run(SMALL, other, network, steps=9, every=1, checkpoint=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="of step 5, beyond the 3 steps asked for"):
        run(SMALL, one, network, steps=3, every=1, checkpoint=tmp_path, resume=True)


def test_what_a_run_counts_cannot_be_measured_over():
    with pytest.raises(ValueError, match="a metric is called 'step'"):
        run(SMALL, t2(), Dense(lazy_ring(4)), 3, measure=lambda *_: {"step": -1})


def test_a_loss_with_parameters_of_its_own_leaves_no_graph():
    layer = torch.nn.Linear(3, 1)
    data = [torch.ones(4, 3)] * 4

    def loss(x, y, batch):
        return (layer(batch) + y - x).square().mean() + y.square().sum()

    problem = Problem.from_losses(loss, loss, torch.zeros(1), torch.zeros(1), data, data)
    state = run(SMALL, problem, Dense(lazy_ring(4)), np.int64(3), seed=np.int64(2)).state
    assert not any(part.requires_grad for part in state)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-7],
        lambda data: data.replace(b'\\"step\\": 5', b'\\"step\\": 6'),
        lambda data: bytes([*data[:-1], data[-1] ^ 1]),
        lambda _: b"",
    ],
    ids=["truncated", "told otherwise", "another bit", "empty"],
)
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    small(steps=5, checkpoint=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert file.read_bytes() != whole
    with pytest.raises(CheckpointError, match=r"truncated or was changed .*delete"):
        Checkpoint.read(tmp_path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        Checkpoint.read(tmp_path)


@pytest.mark.parametrize("where", [DSOBA.step, Tally.after, Going.advance, Going.note, run])
def test_wherever_a_run_is_interrupted_it_goes_on_as_if_nothing_had_been(where, tmp_path):
    _, problem = quadratic(N=4, noise=0.5)
    options = {"steps": 12, "every": 2, "checkpoint_every": 3}
    whole = run(SMALL, problem, OnePeer(4), **options)
    for at in range(0, 60, 7):
        seen = itertools.count()

        def trace(frame, event, _, seen=seen, at=at):
            inside = frame.f_code is getattr(where, "__code__", None)
            if inside and event == "line" and next(seen) == at:
                raise KeyboardInterrupt
            return trace if inside else None  # other functions run at their usual speed

        folder, before = tmp_path / str(at), sys.gettrace()
        sys.settrace(trace)
        try:
            with contextlib.suppress(KeyboardInterrupt):
                run(SMALL, problem, OnePeer(4), **options, checkpoint=folder)
        finally:
            sys.settrace(before)
        again = run(SMALL, problem, OnePeer(4), **options, checkpoint=folder, resume=True)
        assert all(map(torch.equal, again.state, whole.state))
        plain = [[{k: v for k, v in row.items() if k != "seconds"} for row in t.rows]
                 for t in (whole, again)]  # fmt: skip
        assert plain[0] == plain[1]


def test_an_iteration_that_is_interrupted_counts_for_nothing(tmp_path):
    class Impatient(DSOBA):
        def step(self, t, s, w):
            s = super().step(t, s, w)
            if t == 7:
                raise KeyboardInterrupt
            return s

    with pytest.raises(KeyboardInterrupt):
        run(Impatient(**STEPS), t2(), Dense(lazy_ring(4)), 20, every=5, checkpoint=tmp_path)
    saved = Checkpoint.read(tmp_path)
    assert (saved.step, saved.counts["rounds"], saved.counts["hvps"]) == (7, 7, 7)


def test_a_full_disk_costs_the_checkpoint_but_not_the_run(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(UserWarning, match="No space left.*goes on without"):
        trace = small(steps=7, checkpoint=tmp_path, checkpoint_every=5)
    assert trace.rows[-1]["step"] == 7
    assert not list(tmp_path.iterdir())


KILLED = """
import sys
from cases import STEPS, lazy_ring, quadratic
from dsbo import DSOBA, Dense, run
problem = quadratic(noise=0.5)[1]
run(DSOBA(**STEPS, theta=0.3), problem, Dense(lazy_ring(5)), steps=100000, every=50,
    checkpoint=sys.argv[1], checkpoint_every=1)
"""


def test_a_killed_run_resumes_bitwise(tmp_path):
    here = Path(__file__).parent
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here), *sys.path])},
    ) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / FILE).exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.7)
        process.send_signal(signal.SIGKILL)
    reached = Checkpoint.read(tmp_path).step
    assert 0 < reached < 100_000
    problem, network = quadratic(noise=0.5)[1], Dense(lazy_ring(5))
    algorithm, steps = DSOBA(**STEPS, theta=0.3), reached + 60
    resumed = run(algorithm, problem, network, steps, every=50, checkpoint=tmp_path, resume=True)
    whole = run(algorithm, problem, network, steps, every=50)
    assert all(torch.equal(a, b) for a, b in zip(whole.state, resumed.state, strict=True))
    columns = [c for c in whole.rows[0] if c != "seconds"]
    assert whole.frame[columns].equals(resumed.frame[columns])


def test_a_progress_bar_is_drawn_when_asked_for(capsys):
    small(steps=3, progress=True)
    quiet = capsys.readouterr().err
    assert "DSOBA" in quiet or quiet == ""  # shorter runs than the delay show nothing
    small(steps=3, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")
def test_compiled_derivatives_give_the_same_run():
    plain, fast = (small(tanh_problem(4), steps=10, compile=how) for how in (False, True))
    for a, b in zip(plain.state, fast.state, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("compiled", [False, True])
def test_in_chunks_the_numbers_are_the_same_and_fewer_agents_are_there_at_a_time(
    compiled, monkeypatch
):
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, *_, **__: graph)
    ring = Dense(lazy_ring(7))
    whole, seen, real = small(tanh_problem(7), ring, steps=10), [], SecondOrder.losses

    def losses(self, x, y, batch):
        seen.append(len(x[0]))
        return real(self, x, y, batch)

    monkeypatch.setattr(SecondOrder, "losses", losses)
    chunked = small(
        tanh_problem(7), ring, steps=10, chunk=3, compile=compiled, measure=lambda *_: {"none": 0}
    )
    assert set(seen) == {3, 1}
    conformance.equals(whole.state, chunked.state, 1e-12)
    counts = [row["lower_grads"] for row in chunked.rows]
    assert counts == [row["lower_grads"] for row in whole.rows]


def test_finite_numbers_whose_sum_overflows_have_not_diverged():
    large = torch.full((3000,), 60.0, dtype=torch.float16)

    def upper(x, y, batch):
        return (x * 0).sum() + (y * 0).sum() + batch.sum() * 0

    data = [torch.zeros(1, dtype=torch.float16)] * 2
    problem = Problem.from_losses(upper, upper, large, large, data, data)
    assert not large.sum().isfinite()
    state = run(SMALL, problem, Dense(lazy_ring(2)), steps=2, measure=lambda *_: {}).state
    assert state.x.isfinite().all()


@pytest.mark.parametrize(
    ("make", "whose"),
    [
        (lambda L: DIAMOND(0.1, 0.1, eta=1.0, gamma=1.0, K=5, L=L), "agent 3 has curvature 2 "),
        (lambda L: MDBO(0.1, 0.1, eta=1.0, gamma=1.0, K=5, L=L), "agent 3 has curvature 2 "),
        (
            lambda L: GossipDSBO(0.1, 0.1, 0.5, copies=5, L=L),
            "the mean lower loss has curv.* 1.25 ",
        ),
    ],
)
def test_a_bound_below_which_the_series_diverges_is_refused(make, whose):
    network = Dense(lazy_ring(4))
    run(make(2.0), t2(), network, steps=2)
    with pytest.raises(ValueError, match=rf"\.L is 0.6, but .*{whose}.*take an L that"):
        run(make(0.6), t2(), network, steps=2)
    with pytest.raises(ValueError, match=r"take an L that no curvature exceeds"):
        sweep([(make(0.6), 0)], t2(), network, steps=2)
    if hasattr(make(1.0), "K"):  # without a product nothing can diverge
        run(replace(make(0.6), K=1), t2(), network, steps=2)


@pytest.mark.parametrize("chunk", [None, 1])
def test_a_bound_that_the_run_leaves_behind_is_told_once(chunk):
    weights = [torch.tensor([1.0]), torch.tensor([0.5])]

    def lower(x, y, a):
        return 0.5 * (a * x.exp() * y**2).sum()

    def upper(x, y, a):  # noqa: ARG001
        return (x - 2).square().sum() + y.square().sum()

    problem = Problem.from_losses(
        upper, lower, torch.zeros(1), torch.zeros(1), weights, weights, batch=None
    )
    method = DIAMOND(0.1, 0.1, 1.0, 1.0, K=3, L=1.2)  # agent 0: curvature 1 at first, e² at the end
    with pytest.warns(UserWarning, match=r"L is 1.2, but .* agent 0 has curvature") as told:
        run(method, problem, Dense(mixing.average(2)), steps=64, every=1, chunk=chunk)
    (said,) = told
    assert said.filename == __file__
    after = int(re.search(r"after (\d+) iterations", str(said.message))[1])
    assert after in (3, 7, 15, 31)  # where there are 4, 8, 16 and so on rows
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(replace(method, L=4.0), problem, Dense(mixing.average(2)), steps=64, every=1)


def test_a_batch_that_is_steeper_than_all_data_is_no_reason_to_refuse():
    rows = [torch.tensor([3.0, 0.1, 0.1, 0.1])] * 4  # curvatures 9 and 0.01, in the mean 2.26

    def lower(x, y, a):
        return 0.5 * (a * (y - x)).square().mean()

    def upper(x, y, a):
        return (y - a).square().mean() + x.square().sum()

    problem = Problem.from_losses(upper, lower, torch.zeros(1), torch.zeros(1), rows, rows, batch=1)
    network = Dense(lazy_ring(4))
    told = []
    for seed in range(4):  # of which some draw the steep row first
        run(DIAMOND(0.01, 0.01, 1.0, 1.0, K=2, L=2.0), problem, network, steps=1, seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of those that meet the steep row later
            try:
                run(DIAMOND(0.01, 0.01, 1.0, 1.0, K=2, L=1.0), problem, network, 1, seed)
            except ValueError as error:
                told.append(str(error))
    assert told
    assert all("L is 1, but the lower loss of agent" in text for text in told)
    assert all("has curvature 2.26 at the start" in text for text in told)


def test_no_step_is_blamed_for_a_lower_level_that_is_not_convex():
    data = [torch.ones(1)] * 4

    def problem(sign, ridge=0.0):
        def lower(x, y, a):
            return sign * 0.5 * (y - x - a).square().sum()

        def upper(x, y, a):
            return (y - a).square().sum() + x.square().sum()

        return Problem.from_losses(
            upper, lower, torch.zeros(1), torch.zeros(1), data, data, ridge=ridge
        )

    network, method = Dense(lazy_ring(4)), DSOBA(0.01, 0.3, 0.3)
    with pytest.raises(Diverged, match=r"curvature -1 along .*add a ridge above 0\.5") as told:
        run(method, problem(-1.0), network, steps=2000)
    assert pickle.loads(pickle.dumps(told.value)).lowest == told.value.lowest == -1.0
    run(method, problem(-1.0, ridge=0.7), network, steps=2000)
    with pytest.raises(Diverged, match=r"Use a smaller (beta|gamma), the step of") as told:
        run(replace(method, beta=3.0), problem(1.0), network, steps=2000)
    assert "ridge" not in str(told.value)


def straight(x, y, a):
    return (y - x - a).square().mean() + x.square().sum()


def own_problem(lower=straight, upper=straight, p=1, **more):
    data = [torch.ones(2, p) * (i + 1) for i in range(4)]
    return Problem.from_losses(upper, lower, torch.zeros(p), torch.zeros(p), data, data, **more)


def test_a_start_with_a_hessian_that_is_not_finite_is_no_reason_to_refuse():
    def cone(x, y, a):
        return straight(x, y, a) + 0.1 * y.norm()  # its curvature at zero is infinite

    method = DIAMOND(0.1, 0.1, 1.0, 1.0, K=3, L=10.0)
    with pytest.raises(Diverged, match="x is not finite after step 1"):
        run(method, own_problem(cone), Dense(lazy_ring(4)), 5)
    assert (
        "diverged" in sweep([(method, 0)], own_problem(cone), Dense(lazy_ring(4)), 5)[0].provenance
    )
    with pytest.raises(Diverged, match="Use a smaller") as told:
        run(DSOBA(0.1, 9.0, 0.1), own_problem(cone), Dense(lazy_ring(4)), 900)
    assert "ridge" not in str(told.value)


def test_steps_that_were_small_enough_for_long_are_not_blamed_alone():
    def curved(x, y, a):
        return (x.exp() * y**2).sum() - (a @ y).mean()

    def upper(x, y, a):  # noqa: ARG001
        return y.square().sum()

    problem, network = own_problem(curved, upper), Dense(lazy_ring(4))
    with pytest.raises(Diverged, match=r"a smaller beta.*went well for \d+ it.*alpha.*project="):
        run(DSOBA(0.01, 0.2, 0.2), problem, network, 2000)
    with pytest.raises(Diverged) as told:
        run(DSOBA(0.0, 9.0, 0.2), problem, network, 2000)
    assert "went well" not in str(told.value)
    keeps = Box(-1.0, 1.0)
    assert run(DSOBA(0.01, 0.2, 0.2), problem, network, 2000, project=keeps).rows


def test_rounding_is_not_taken_for_a_lower_level_that_is_not_convex():
    rows = [torch.randn(2, 40, generator=torch.Generator().manual_seed(i)) for i in range(4)]

    def flat(x, y, a):
        return (a @ y - 1).square().mean() + x.sum() ** 2

    problem = Problem.from_losses(flat, flat, torch.zeros(1), torch.zeros(40), rows, rows)
    with pytest.raises(Diverged) as told:
        run(DSOBA(0.1, 9.0, 0.1), problem, Dense(lazy_ring(4)), 900)
    assert "ridge" not in str(told.value)


def test_an_own_setting_called_L_is_not_taken_for_a_bound():  # noqa: N802
    @dataclass(frozen=True)
    class Own(DSOBA):
        L: int = 1

    steep = own_problem(lambda x, y, a: 50 * straight(x, y, a))
    run(Own(0.001, 0.001, 0.001), steep, Dense(lazy_ring(4)), 2)


def test_a_bound_that_is_refused_leaves_no_checkpoint(tmp_path):
    def steep(x, y, a):
        return 50 * straight(x, y, a)

    method = DIAMOND(0.001, 0.001, 1.0, 1.0, K=3, L=1.0)
    with pytest.raises(ValueError, match="the Neumann series diverges"):
        run(method, own_problem(steep), Dense(lazy_ring(4)), 2, checkpoint=tmp_path)
    assert not list(tmp_path.iterdir())
    right = replace(method, L=100.0)
    run(right, own_problem(steep), Dense(lazy_ring(4)), 2, checkpoint=tmp_path, resume=True)


def test_a_batch_that_is_not_convex_is_no_reason_for_a_ridge():
    rows = [torch.tensor([-1.0, 3.0])] * 4  # curvatures, in the mean 1

    def lower(x, y, a):
        return 0.5 * (a * y.square()).mean() - (x * y).sum()

    problem = Problem.from_losses(
        straight, lower, torch.ones(1), torch.ones(1), rows, rows, batch=1
    )
    told = []
    for seed in range(4):
        with pytest.raises(Diverged) as caught:
            run(DSOBA(0.01, 9.0, 0.01), problem, Dense(lazy_ring(4)), 900, seed=seed)
        told.append(str(caught.value))
    assert not any("ridge" in text for text in told)


def test_the_curvature_is_looked_at_in_chunks_and_not_counted():
    most = []

    def seen(x, y, a):
        most.append(len(torch._C._functorch.get_unwrapped(a)))
        return straight(x, y, a)

    problem = own_problem(seen)
    most.clear()
    method = DIAMOND(0.1, 0.1, 1.0, 1.0, K=3, L=9.0, full_sum=True)
    trace = run(method, problem, Dense(lazy_ring(4)), 2, chunk=1, measure=lambda *_: {})
    assert set(most) == {1}
    assert trace.rows[0]["hvps"] == 0
    assert trace.rows[1]["hvps"] == method.calls(1, 1)["hvps"]


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        (lambda t: -0.1 if t > 2 else 0.1, r"beta at t = 3 must be at least 0, got -0.1"),
        (lambda t: float("nan") if t > 2 else 0.1, r"beta at t = 3 must be finite, got nan"),
        (lambda t: None if t > 2 else 0.1, r"beta at t = 3 must be a number, got None"),
    ],
)
def test_a_schedule_that_goes_wrong_later_is_told_then(schedule, says):
    wrong = replace(SMALL, beta=schedule)
    with pytest.raises((TypeError, ValueError), match=says) as told:
        small_with(wrong)
    assert len(told.value.trace.rows) == 4
    with pytest.raises((TypeError, ValueError), match=says):
        sweep([(wrong, 0)], t2(), Dense(lazy_ring(4)), 9)
    with pytest.raises(ValueError, match=r"theta at t = 2 is .* share|is a share in \[0, 1\]"):
        small_with(replace(SMALL, theta=lambda t: 30.0 if t > 1 else 1.0))


def small_with(method):
    return run(method, t2(), Dense(lazy_ring(4)), 9, every=1)


def test_schedules_may_give_any_kind_of_number():
    plain = small_with(replace(SMALL, beta=0.5)).state
    for kind in (Fraction, np.float32, np.array, torch.tensor):
        conformance.equals(
            small_with(replace(SMALL, beta=lambda _, k=kind: k(0.5))).state, plain, 0
        )


def test_what_is_handed_to_json_is_plain(tmp_path):
    problem = own_problem(batch=torch.tensor(2)).first_order(np.float32(1e-3))
    run(SMALL, problem, Dense(lazy_ring(4)), 2, checkpoint=tmp_path).save(tmp_path / "a.csv")


def test_metrics_are_told_by_name_and_neither_replace_nor_write():
    def ending(metrics):
        return run(SMALL, own_problem(metrics=metrics), Dense(lazy_ring(4)), 2)

    for name in ("upper_loss", "consensus_x", "consensus_y"):
        with pytest.raises(ValueError, match=f"a metric is called '{name}', .*rename it"):
            ending(lambda *_, name=name: {name: 1.0})
    for value in (None, "a", 1j, torch.zeros(2), [1.0]):
        with pytest.raises(TypeError, match="the metric 'mine' must be a number, got"):
            ending(lambda *_, value=value: {"mine": value})
    with pytest.raises(
        TypeError, match="metrics must be a dict of numbers, what measured gave None"
    ):
        ending(lambda *_: None)
    assert ending(lambda *_: {"so": True})["so"].tolist() == [1, 1, 1]
    with torch.inference_mode():
        run(SMALL, t2(), Dense(lazy_ring(4)), 2)
    with pytest.raises(TypeError, match="metrics must be a function, got"):
        ending({"a": 1})
    with pytest.raises(ValueError, match="wrote into the state"):
        ending(lambda _, x, *__: {"a": float(x.add_(1).sum())})
    assert np.isnan(ending(lambda *_: {"a": float("nan")})["a"]).all()


@pytest.mark.parametrize("runs", [[SMALL], (SMALL, 0), None, 3, [(SMALL, 0, 1)], [(DSOBA, 0)]])
def test_a_sweep_says_what_its_runs_must_be(runs):
    with pytest.raises(TypeError, match="runs must be pairs of an algorithm and a seed"):
        sweep(runs, t2(), Dense(lazy_ring(4)), 2)


def test_whatever_measure_raises_passes_and_the_trace_is_kept():
    class Mine(Exception):
        pass

    def measure(_, __, state):
        if float(state.x.abs().max()) > 0:
            raise Mine("a metric of my own")
        return {"one": np.float32(1), "two": torch.tensor(2)}

    with pytest.raises(Mine, match="a metric of my own") as caught:
        small(steps=10, every=1, measure=measure)
    assert [row["one"] for row in caught.value.trace.rows] == [1.0] * 3
    assert json.dumps(caught.value.trace.rows)


def test_a_measure_that_gives_nothing_is_told():
    with pytest.raises(
        TypeError, match="metrics must be a dict of numbers, what measured gave None"
    ):
        small(steps=1, measure=lambda *_: None)


def test_a_schedule_that_no_later_process_can_name_is_refused_with_a_checkpoint(tmp_path):
    falling = replace(SMALL, alpha=lambda t: 0.1 / (t + 1))
    run(falling, t2(), Dense(lazy_ring(4)), steps=2)
    with pytest.raises(TypeError, match=r"DSOBA\.alpha is <function .*frozen dataclass"):
        run(falling, t2(), Dense(lazy_ring(4)), steps=2, checkpoint=tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DSOBA(**STEPS, theta=2.0),
        lambda: MDBO(0.1, 0.1, eta=1.5, gamma=0.1, K=2, L=1.0),
        lambda: MDBO(0.1, 0.1, eta=0.1, gamma=1.5, K=2, L=1.0),
    ],
)
def test_a_share_above_one_is_refused(make):
    with pytest.raises(ValueError, match=r"is a share in \[0, 1\], got"):
        make()


def test_numpys_whole_numbers_are_whole_numbers(tmp_path):
    two = np.int64(2)
    method = MADSBO(0.1, 0.1, 0.1, 0.1, T_y=two, T_z=two)
    problem = tanh_problem(4)
    kept = {"checkpoint": tmp_path, "checkpoint_every": two, "every": two, "seed": two}
    trace = run(method, problem, Dense(lazy_ring(4)), steps=two, **kept)
    trace.save(tmp_path / "trace.csv")
    assert trace.rows[-1]["step"] == 2
    assert type(method.T_y) is int


class Askew(DSOBA):
    """Starts with a variable whose memory is in another order."""

    def init(self, x, y):
        return super().init(x, y)._replace(z=y.new_zeros(y.shape[1], y.shape[0]).t())


class AtT(DSOBA):
    """Looks at t in a way of its own."""

    def step(self, t, s, w):
        return super().step(t if t.bit_length() else 0, s, w)


class LooksLate(DSOBA):
    """Looks at t after it has mixed."""

    def step(self, t, s, w):
        new = super().step(t, s, w)
        return new if t >= 0 else s


class Nested(DSOBA):
    """Looks into a schedule."""

    def step(self, t, s, w):
        return replace(self, beta=self.alpha.value).step_of_base(t, s, w)

    def step_of_base(self, t, s, w):
        return DSOBA.step(self, t, s, w)


@pytest.mark.parametrize("kind", [Askew, AtT, Nested, LooksLate])
def test_odd_methods_compile_to_what_they_are(kind, monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, *_, **__: graph)
    _, problem = quadratic(noise=0.1)
    slow, fast = (
        run(kind(**THETA), problem, Dense(lazy_ring(5)), steps=6, compile=how)
        for how in (False, True)
    )
    conformance.equals(slow.state, fast.state, 1e-12)
    for name in ("rounds", "floats", "hvps"):
        assert slow[name].tolist() == fast[name].tolist()


def test_a_missing_gpu_is_not_warned_of_where_its_tools_are(monkeypatch):
    logger, said = logging.getLogger("torch.utils.cpp_extension"), []

    def compiler(graph, *_, **__):
        logger.warning("No CUDA runtime is found")
        return graph

    monkeypatch.setattr(logger, "handlers", [logging.Handler()])
    monkeypatch.setattr(logger.handlers[0], "emit", said.append)
    monkeypatch.setattr(torch._inductor, "compile", compiler)
    run(DSOBA(**THETA), quadratic()[1], Dense(lazy_ring(5)), steps=2, compile=True)
    assert (said, logger.disabled) == ([], False)


def test_compiled_differences_cost_what_they_do_otherwise(monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, *_, **__: graph)
    problem = tanh_problem(4).first_order()
    slow, fast = (run(SMALL, problem, OnePeer(4), steps=6, compile=how) for how in (False, True))
    assert slow.rows[-1]["lower_grads"] == fast.rows[-1]["lower_grads"] == 12


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 6])
def test_methods_that_ask_for_a_point_run_in_chunks_of_any_size(chunk):
    _, problem = quadratic(noise=0.1)
    method, network = SPARKLE(0.05, 0.05, 0.05), Dense(lazy_ring(5))
    whole, chunked = (run(method, problem, network, steps=4, chunk=c) for c in (None, chunk))
    conformance.equals(whole.state, chunked.state, 1e-12)


def test_the_commit_of_a_repository_that_only_surrounds_the_package_is_not_told(
    tmp_path, monkeypatch
):
    def git(*words):
        told = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(told, capture_output=True, text=True, check=True).stdout.strip()

    module = tmp_path / "module.py"
    module.write_text("")
    (tmp_path / "other").write_text("")
    git("init", "--quiet")
    git("add", "other")
    git("commit", "--quiet", "-m", "other")
    monkeypatch.setattr(provenance, "__file__", str(module))
    provenance.commit.cache_clear()
    assert provenance.commit() is None
    git("add", "module.py")
    git("commit", "--quiet", "-m", "module")
    provenance.commit.cache_clear()
    assert provenance.commit() == git("rev-parse", "--short=12", "HEAD")
    provenance.commit.cache_clear()
