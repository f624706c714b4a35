"""Runs that start at what another run found."""

from functools import partial

import pytest
import torch
from cases import STEPS, lazy_ring, quadratic

from dsbo import (
    DSOBA,
    LOPAGT,
    MADSBO,
    SLDBO,
    SOBA,
    SPARKLE,
    CheckpointError,
    Dense,
    GossipDSBO,
    Peers,
    Trace,
    run,
)
from dsbo.network import spawn
from dsbo.network.ranks import here

N, D, P = 4, 3, 4
METHOD = DSOBA(**STEPS, theta=0.3)
X = torch.arange(N * D, dtype=torch.float64).view(N, D) / 7
Y = torch.arange(N * P, dtype=torch.float64).view(N, P) / 9


def problem(noise=0.0):
    return quadratic(N=N, noise=noise)[1]


def ring(method=METHOD, steps=10, kind=Dense, noise=0.0, **options):
    network = None if method.centralised else kind(lazy_ring(N))
    return run(method, problem(noise), network, steps, **options)


def equal(one, other):
    return all(map(torch.equal, one, other))


@pytest.mark.parametrize(
    "method",
    [
        METHOD,
        SOBA(**STEPS, theta=0.2),
        SPARKLE(**STEPS, theta=0.5, upper="EXTRA"),
        SLDBO(0.05, 0.1, 0.1, radius=9.0),
        LOPAGT(**STEPS, theta=0.3),
        MADSBO(**STEPS, theta=0.3),
    ],
)
def test_of_the_same_method_everything_is_taken(method):
    whole, half = ring(method, 20), ring(method, 10)
    kept = [part.clone() for part in half.state]
    for start in (half, half.state):
        assert equal(ring(method, 10, start=start).state, whole.state)
    assert equal(half.state, kept)


def test_of_another_method_x_and_y_are_taken_and_the_rest_starts_as_ever():
    other = ring(SLDBO(0.05, 0.1, 0.1, radius=9.0))
    seen = []

    def measure(_, __, state):
        seen.append(state)
        return {}

    ring(start=other, measure=measure, steps=1)
    assert torch.equal(seen[0].x, other.state.x)
    assert torch.equal(seen[0].y, other.state.y)
    assert not seen[0].z.any()
    pair = other.state.x, other.state.y
    assert equal(ring(start=pair).state, ring(start=other.state).state)
    told = ring(start=pair).provenance["warm"]
    assert told["variables"] == ["x", "y"]
    assert len(told["sha256"]) == 64
    assert "warm" not in other.provenance


def test_rows_that_differ_are_kept_row_by_row():
    x = X.clone()
    trace = ring(DSOBA(0.0, 0.0, 0.0), 3, start=(x, Y))
    W = torch.from_numpy(lazy_ring(N)).matrix_power(3)
    torch.testing.assert_close(trace.state.x, W @ X, rtol=0, atol=1e-14)
    torch.testing.assert_close(trace.state.y, W @ Y, rtol=0, atol=1e-14)
    assert torch.equal(x, X)


@pytest.mark.parametrize(
    ("start", "error", "says"),
    [
        (
            (X, Y[:3]),
            ValueError,
            r"y of the start is \[3, 4\], not \[4, 4\]; give each agent a row",
        ),
        ((X[0], Y), ValueError, r"x of the start is \[3\], not \[4, 3\]"),
        ((X.float(), Y), ValueError, r"x of the start is torch.float32, .*\.to\(torch.float64\)"),
        ((X, Y / 0), ValueError, "y of the start holds NaN or infinity; give finite"),
        ((X, Y.numpy()), TypeError, r"y of the start must be a tensor \[4, 4\], got"),
        (X, TypeError, r"start must be the Trace of a run, .*got tensor"),
        ("start", TypeError, "start must be the Trace of a run, .*got 'start'"),
        (Trace(), ValueError, r"a trace without a State, .*give \(x, y\), or .*resume=True"),
    ],
)
def test_what_is_no_start_is_refused(start, error, says):
    with pytest.raises(error, match=says):
        ring(start=start)


def test_a_state_of_other_settings_is_refused_by_the_variable_that_does_not_fit():
    one, other = (GossipDSBO(0.1, 0.1, 0.5, copies=c, L=9.0) for c in (2, 3))
    with pytest.raises(ValueError, match=r"V of the start is .*start from these alone"):
        ring(other, 2, start=ring(one, 2))


def test_a_centralised_method_needs_equal_rows():
    method = SOBA(**STEPS)
    with pytest.raises(ValueError, match=r"SOBA is centralised, .*x\.mean\(0\)\.expand\(4, -1\)"):
        ring(method, start=(X, Y))
    state = ring(method, start=(X.mean(0).expand(N, -1), Y.mean(0).expand(N, -1))).state
    assert equal(state, [part[:1].expand(N, -1) for part in state])


def test_a_run_that_started_warm_resumes_as_that_alone(tmp_path):
    options = {"noise": 0.5, "checkpoint": tmp_path, "every": 2}
    ring(steps=6, start=(X, Y), **options)
    again = ring(steps=12, start=(X, Y), resume=True, **options)
    assert equal(again.state, ring(steps=12, start=(X, Y), noise=0.5).state)
    for start in (None, (X, 2 * Y)):
        with pytest.raises(CheckpointError, match="another run: warm was"):
            ring(steps=14, start=start, resume=True, **options)


def spread():
    """What a rank sees of runs that start warm at rank 0's rows, and are told apart."""
    left = ring(steps=5, kind=Peers, noise=0.5)
    with pytest.raises(ValueError, match="warm start is True, on rank 0 False"):
        ring(kind=Peers, start=left if here().rank else None)
    with pytest.raises(ValueError, match="y of the start holds NaN"):
        ring(kind=Peers, start=(X, Y / 0))
    pair = ring(steps=5, kind=Peers, noise=0.5, start=(X, Y))
    return ring(steps=5, kind=Peers, noise=0.5, start=left).state, pair.state


def test_several_processes_start_at_the_rows_of_rank_zero():
    again = partial(ring, steps=5, kind=Peers, noise=0.5)
    one, pair = spawn(spread, 2)[0]
    assert equal(one, again(start=again()).state)
    assert equal(pair, again(start=(X, Y)).state)
