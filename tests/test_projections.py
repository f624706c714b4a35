"""Sets in which x is kept: the nearest points, and where runs with them rest."""

import itertools
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pytest
import torch
from cases import STEPS, drawn_noise, lazy_ring, quadratic
from reference.dsoba import oracles

from dsbo import (
    DIAMOND,
    DSOBA,
    LOPA,
    LOPAGT,
    MADSBO,
    SLDBO,
    SOBA,
    SPARKLE,
    SRBA,
    STORMSOBA,
    CheckpointError,
    Dense,
    Peers,
    Sparse,
    conformance,
    run,
)
from dsbo.algorithms import ALGORITHMS
from dsbo.algorithms.reconstructed.sparkle import STRATEGIES
from dsbo.network import spawn
from dsbo.projections import Ball, Box, Simplex

N = 5
SETS = [Box(-0.1, 0.1), Box(0, torch.inf), Simplex(), Simplex(3.5), Ball(0.3), Ball(2)]


def rows(seed=0, n=200, d=5, dtype=torch.float64):
    made = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (made * torch.logspace(-2, 2, n, dtype=torch.float64)[:, None]).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("project", SETS, ids=repr)
def test_a_projection_stays_where_it_leads_and_each_row_is_by_itself(project, dtype):
    x = rows(dtype=dtype)
    kept = x.clone()
    found = project(x)
    assert found.dtype == dtype
    assert torch.equal(x, kept)
    torch.testing.assert_close(project(found), found)
    assert torch.equal(torch.cat([project(row[None]) for row in x]), found)


@pytest.mark.parametrize("project", SETS, ids=repr)
def test_no_point_of_the_set_is_at_an_obtuse_angle(project):
    """x - P(x) makes no acute angle with any s - P(x), s in the set: that is the nearest point."""
    x, others = rows(), project(rows(seed=1, n=50))
    found = project(x)
    towards = others[None] - found[:, None]
    along = (towards * (x - found)[:, None]).sum(2)
    assert float(along.max()) < 1e-12 * float(x.norm(dim=1).max())


def brute(x, total):
    """The nearest point of the simplex among the nearest ones of all its faces."""
    found = []
    for size in range(1, len(x) + 1):
        for face in map(list, itertools.combinations(range(len(x)), size)):
            point = np.zeros_like(x)
            point[face] = x[face] - (x[face].sum() - total) / size
            if point.min() >= 0:
                found.append(point)
    return min(found, key=lambda point: ((point - x) ** 2).sum())


@pytest.mark.parametrize("total", [0.5, 1.0, 3.5])
def test_the_simplex_has_the_nearest_point_of_all_faces(total):
    x = rows(n=60)
    want = np.array([brute(row, total) for row in x.numpy()])
    np.testing.assert_allclose(Simplex(total)(x), want, rtol=0, atol=1e-12)


def test_large_numbers_lose_nothing():
    far = torch.tensor([[1e8, 1e8 - 16, -3e37]], dtype=torch.float32)
    assert Simplex(8.0)(far).tolist() == [[8.0, 0.0, 0.0]]
    assert Ball(2.0)(torch.tensor([[3e30, -4e30]])).tolist()[0] == pytest.approx([1.2, -1.6])
    assert Ball(2.0)(torch.zeros(1, 3)).tolist() == [[0.0] * 3]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Box(1, 0), ValueError, r"Box\.low must be at most Box\.high, got 1\.0 and 0\.0"),
        (lambda: Box(float("nan"), 0), ValueError, r"Box\.low must be at most"),
        (lambda: Box("a", 0), TypeError, r"Box\.low must be a number, got 'a'"),
        (lambda: Simplex(0), ValueError, r"Simplex\.total must be positive, got 0"),
        (lambda: Ball(-1), ValueError, r"Ball\.radius must be positive, got -1"),
    ],
)
def test_bad_arguments_are_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


def naive(c, W, project, alpha, beta, gamma, theta, steps, noise):
    """D-SOBA agent by agent, x projected at the start and after every iteration."""
    d, p = c["p"].shape[1], c["r"].shape[1]
    x, y = np.tile(project(np.zeros(d)), (N, 1)), np.zeros((N, p))
    z, h = np.zeros((N, p)), np.zeros((N, d))
    for t in range(steps):
        new = [np.zeros_like(v) for v in (x, y, z, h)]
        for i in range(N):
            u_x, u_y, v, J, H = oracles(c, i, x[i], y[i], *noise(i, t))
            for j in range(N):
                new[0][j] += W[j, i] * (x[i] - alpha * h[i])
                new[1][j] += W[j, i] * (y[i] - beta * v)
                new[2][j] += W[j, i] * (z[i] - gamma * (H @ z[i] - u_y))
            new[3][i] = (1 - theta) * h[i] + theta * (u_x - J @ z[i])
        x, y, z, h = new
        x = np.array([project(row) for row in x])
    return x, y, z, h


@pytest.mark.parametrize(
    ("project", "by_hand"),
    [
        (Box(-0.05, 0.02), lambda v: np.minimum(np.maximum(v, -0.05), 0.02)),
        (Ball(0.05), lambda v: v * min(1, 0.05 / max(np.sqrt(v @ v), 1e-300))),
        (Simplex(0.3), lambda v: brute(v, 0.3)),
    ],
)
@pytest.mark.parametrize("kind", [Dense, Sparse, Peers])
def test_a_projected_run_is_the_naive_loop(project, by_hand, kind):
    c, problem = quadratic(noise=0.2)
    W, settings = lazy_ring(N), {**STEPS, "theta": 0.3}
    noise = drawn_noise(7, 0.2, problem.d, problem.p)
    got = run(DSOBA(**settings), problem, kind(W), 12, seed=7, project=project).state
    want = naive(c, W, by_hand, **settings, steps=12, noise=noise)
    for mine, its in zip(got, want, strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-12)
    assert not np.allclose(got.x, naive(c, W, lambda v: v, **settings, steps=12, noise=noise)[0])


@cache
def solution(project, shared):
    problem = quadratic(N=N)[1]
    x = problem.x0[None]
    for _ in range(200):
        x = project(x - 0.1 * problem.hypergradient(x[0], shared))
    assert float(problem.hypergradient(x[0], shared).norm()) > 0.1  # the set matters
    return x


S = {"alpha": 0.1, "beta": 0.1, "gamma": 0.1}
EXACT = [
    SOBA(**S),
    SOBA(**S, theta=0.5),
    SLDBO(0.05, 0.1, 0.1, radius=99.0),
    LOPAGT(**S, theta=0.5),
    *(SPARKLE(**S, theta=0.5, upper=u, lower="EXTRA") for u in STRATEGIES),
    STORMSOBA(**S, eta_x=0.5, eta_y=0.5, eta_z=0.5),
    SRBA(**S, q=5),
]
FAST = {"alpha": 0.1, "beta": 0.3, "gamma": 0.3}
BIASED = [DSOBA(**FAST, theta=0.5), LOPA(**FAST), MADSBO(**FAST, theta=0.5, T_y=2, T_z=2)]


def far(method, project, steps, share=1.0):
    """How far a run without noise ends from the constrained solution."""
    problem = quadratic(N=N)[1]
    method = replace(method, **{name: getattr(method, name)(0) * share for name in S})
    network = None if method.centralised else Dense(lazy_ring(N))
    x = run(method, problem, network, steps, every=steps, project=project).state.x
    return float((x - solution(project, method.shared_lower)).abs().max())


@pytest.mark.parametrize("method", EXACT, ids=repr)
def test_methods_without_bias_rest_at_the_solution_in_the_set(method):
    assert far(method, Ball(0.1), steps=300) < 1e-12


@pytest.mark.parametrize("method", BIASED, ids=repr)
def test_methods_with_bias_rest_as_near_as_their_steps_are_small(method):
    one, half = (far(method, Box(-0.1, 0.1), 200, share) for share in (0.5, 0.25))
    assert 0.4 < half / one < 0.65


def test_every_method_that_is_projectable_was_seen_to_rest():
    declared = {kind for kind in ALGORITHMS if kind.projectable}
    assert declared == {type(method) for method in (*EXACT, *BIASED)}


def ring(method=DSOBA(**STEPS), kind=Dense, steps=9, **options):  # noqa: B008
    return run(method, quadratic(noise=0.5)[1], kind(lazy_ring(N)), steps, every=3, **options)


def test_a_run_resumes_with_its_set_and_with_no_other(tmp_path):
    whole, box = ring(project=Box(0, 1)), {"project": Box(0, 1.0)}
    ring(steps=6, checkpoint=tmp_path, **box)
    again = ring(checkpoint=tmp_path, resume=True, **box)
    assert conformance.equals(again.state, whole.state, 0) == 0
    assert whole.provenance["project"] == "Box(low=0.0, high=1.0)"
    for other in (None, Box(0, 2)):
        with pytest.raises(CheckpointError, match=r"another run: project was Box\(low=0\.0"):
            ring(checkpoint=tmp_path, resume=True, project=other)


def test_a_warm_start_and_a_compiled_run_are_projected_too(monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, *_, **__: graph)
    box = {"project": Box(-0.01, 0.01)}
    pair = torch.ones(N, 3, dtype=torch.float64), torch.ones(N, 4, dtype=torch.float64)
    seen = []
    ring(start=pair, measure=lambda _, __, s: seen.append(s.x.clone()) or {}, **box)
    assert max(float(x.abs().max()) for x in seen) == 0.01
    conformance.equals(ring(compile=True, **box).state, ring(**box).state, 1e-12)


@dataclass(frozen=True)
class Halfspace:
    """A set of one's own."""

    bound: float

    def __call__(self, x):
        return x - (x.sum(1, keepdim=True) - self.bound).clamp(min=0) / x.shape[1]


def test_a_set_of_ones_own_over_processes_gives_the_same_bits(tmp_path):
    job = partial(ring, kind=Peers, project=Halfspace(-0.1), checkpoint=tmp_path)
    state = spawn(job, 2)[0].state
    assert all(map(torch.equal, state, ring(kind=Peers, project=Halfspace(-0.1)).state))
    assert float(state.x.sum(1).max()) < -0.1 + 1e-12


@pytest.mark.parametrize(
    ("project", "error", "says"),
    [
        (Box, TypeError, r"project must be made as in Box\(0, 1\), got <class"),
        (3, TypeError, r"project must be made as in Box\(0, 1\), got 3"),
        (lambda x: x[:1], ValueError, r"float64 \[2, 3\], got torch.float64 \[1, 3\]"),
        (lambda x: x.float(), ValueError, "got torch.float32"),
        (lambda _: None, ValueError, "got None"),
        (lambda x: x.add_(1), ValueError, r"wrote into .*work on a clone\(\)"),
        (lambda x: x / 0, ValueError, "project gives .* which is not finite"),
    ],
)
def test_what_projects_nothing_is_refused(project, error, says):
    with pytest.raises(error, match=says):
        ring(project=project)


def test_who_cannot_be_projected_says_who_can_and_what_to_do(tmp_path):
    with pytest.raises(
        ValueError, match=r"DIAMOND .*not derived; take one of DSOBA, LOPA.*sigmoid"
    ):
        ring(DIAMOND(0.1, 0.1, 1.0, 1.0, K=3, L=9.0), project=Box(0, 1))
    with pytest.raises(TypeError, match=r"project is <function .*frozen dataclass"):
        ring(project=lambda x: x, checkpoint=tmp_path)
