"""What every algorithm must satisfy. A new one is found by the CASES of its naive loop."""

import importlib
import pkgutil
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import reference
import torch
from cases import (
    STEPS,
    doubly_stochastic,
    drawn_inner,
    drawn_length,
    drawn_noise,
    lazy_ring,
    quadratic,
    t2,
)
from reference.madsbo import madsbo
from reference.sustain import sustain

from dsbo import (
    DSGD,
    DSOBA,
    MADSBO,
    MDBO,
    SLAM,
    SOBA,
    Dense,
    SingleLevelDSGD,
    algorithms,
    conformance,
    mixing,
    provenance,
    run,
    traced,
)
from dsbo.algorithms import ALGORITHMS
from dsbo.trace import ORACLES
from dsbo.world import Draws, World


@dataclass(frozen=True)
class Case:
    algorithm: object
    reference: object
    settings: dict

    @property
    def one_loop(self):
        """Whether averaging everything makes it SOBA."""
        return type(self.algorithm) in (DSOBA, SOBA, SingleLevelDSGD)

    def run_reference(self, c, W, steps, seed, noise):
        settings = dict(self.settings)
        if "K" in settings:
            settings["length"] = drawn_length(seed, settings["K"])
        sizes = c["p"].shape[1], c["r"].shape[1]
        if "inner" in settings:
            settings["lower_steps"] = settings.pop("inner")
        if not settings.keys().isdisjoint({"T_y", "q", "lower_steps"}):
            settings["inner"] = drawn_inner(seed, noise, *sizes)
        noise = drawn_noise(seed, noise, *sizes)
        return self.reference(c, W, **settings, steps=steps, noise=noise)


def cases():
    """Every case of every naive loop; what is None there is left out of the method's settings."""
    for found in pkgutil.iter_modules(reference.__path__):
        module = importlib.import_module(f"reference.{found.name}")
        for name, (method, loop, settings) in getattr(module, "CASES", {}).items():
            given = {key: value for key, value in settings.items() if value is not None}
            yield name, Case(getattr(algorithms, method)(**given), loop, settings)


CASES = dict(cases())
THETA = CASES["dsoba"].settings


def of(cases):
    return pytest.mark.parametrize("case", cases.values(), ids=cases)


every = of(CASES)
one_loop = of({k: c for k, c in CASES.items() if c.one_loop})
personal_lower = of(
    {k: c for k, c in CASES.items() if not c.algorithm.shared_lower and "K" in c.settings}
)


def needs_symmetry(algorithm):
    """Whether a run refuses directed weights."""
    names = "upper", "lower", "auxiliary", "strategy"
    strategies = {getattr(algorithm, name, None) for name in names}
    return isinstance(algorithm, SLAM) or not strategies.isdisjoint({"ED", "EXTRA"})


def weights(case, N, directed=False):
    if case.algorithm.centralised:
        return mixing.average(N)
    if needs_symmetry(case.algorithm):
        return mixing.lazy(mixing.lazy(doubly_stochastic(N, seed=N, directed=False)))
    return doubly_stochastic(N, seed=N, directed=directed)


def central(case):
    """The centralised method that a case becomes when everything is averaged."""
    return SOBA(**{**STEPS, "theta": None, **case.settings, "alpha": case.settings.get("alpha", 0)})


def known(case, state):
    """The variables that the references follow: SOBA without theta has no average h."""
    fields = state._asdict()
    if case.algorithm.shared_lower and case.settings.get("theta") is None:
        fields.pop("h", None)
    return tuple(fields.values())


def same(got, want, tol):
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=tol)


def test_every_algorithm_of_the_table_has_a_case():
    assert set(ALGORITHMS) == {type(case.algorithm) for case in CASES.values()}


@every
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_ten_steps_equal_the_naive_loop(case, directed, noise):
    c, problem = quadratic(noise=noise)
    W = weights(case, 5, directed)
    trace = run(case.algorithm, problem, Dense(W), steps=10, seed=3)
    want = case.run_reference(c, W, steps=10, seed=3, noise=noise)
    got = known(case, trace.state)
    shown = min(len(got), len(want))
    same(got[:shown], want[:shown], 1e-12)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_public_checks_pass(case, dtype):
    problem = type(quadratic()[1])(**quadratic()[0], noise=0.5, dtype=dtype)
    tol = 1e-12 if dtype == torch.float64 else 2e-5
    conformance.check(case.algorithm, problem, weights(case, 5), tol)


@of({k: c for k, c in CASES.items() if "K" in c.settings and not c.algorithm.full_sum})
def test_agents_wait_for_the_longest_chain(case):
    _, problem = quadratic()
    last = run(case.algorithm, problem, Dense(weights(case, 5)), steps=7).rows[-1]
    length = drawn_length(0, case.settings["K"])
    chains = sum(max(length(i, t) for i in range(5)) for t in range(7))
    assert last["hvps"] == chains * case.algorithm.calls(3, 4)["jvps"]


@one_loop
def test_exact_averaging_is_the_centralised_method(case):
    _, problem = quadratic(noise=0.5)
    want = run(central(case), problem, steps=25, seed=1)
    got = run(case.algorithm, problem, Dense(mixing.average(5)), steps=25, seed=1)
    got = known(case, got.state)[:3]  # h is an agent's own
    same(got, want.state[: len(got)], 1e-12)


@one_loop
def test_the_fixed_point_of_the_linear_recursion_is_reached(case):
    _, problem = quadratic()
    W = weights(case, 5)
    if "alpha" in case.settings:
        want = problem.fixed_point(W, **STEPS)[:3]
    else:
        want = run(DSOBA(**{**THETA, "alpha": 0}), problem, Dense(W), steps=1500).state[:2]
    trace = run(case.algorithm, problem, Dense(W), steps=1500, every=1500)
    same(trace.state[: len(want)], want, 1e-9)


@one_loop
def test_the_mean_obeys_the_centralised_law_with_common_hessians(case):
    _, problem = quadratic(heterogeneity=0.0)
    shifted = quadratic(heterogeneity=1.0)[0]
    common = quadratic(heterogeneity=0.0)[0]
    linear = {**common, **{name: shifted[name] for name in ("p", "r", "b")}}
    problem = type(problem)(**linear)
    want = run(central(case), problem, steps=25)
    got = known(case, run(case.algorithm, problem, Dense(weights(case, 5)), steps=25).state)[:3]
    pairs = zip(got, want.state, strict=False)
    same(*zip(*((a.mean(0), b.mean(0)) for a, b in pairs), strict=True), 1e-12)


@every
def test_one_agent_is_enough(case):
    c, problem = quadratic(N=1, noise=0.5)
    got = known(case, run(case.algorithm, problem, steps=20, seed=1).state)
    want = case.run_reference(c, np.eye(1), steps=20, seed=1, noise=0.5)
    shown = min(len(got), len(want))
    same(got[:shown], want[:shown], 1e-12)


@one_loop
def test_one_agent_of_a_one_loop_method_is_soba(case):
    _, problem = quadratic(N=1, noise=0.5)
    alone = run(case.algorithm, problem, steps=20, seed=1)
    want = run(central(case), problem, steps=20, seed=1)
    got = known(case, alone.state)
    same(got, want.state[: len(got)], 1e-13)


def test_a_lazy_ring_keeps_the_first_order_variant_on_the_same_point():
    _, problem = quadratic()
    W = lazy_ring(5)
    want = problem.fixed_point(W, **STEPS)
    for central, calls in ((False, 2), (True, 3)):
        trace = run(
            DSOBA(**THETA), problem.first_order(1.0, central), Dense(W), steps=1500, every=1500
        )
        same(trace.state[:3], want, 1e-9)
        assert trace.rows[-1]["lower_grads"] == 1500 * calls
        assert trace.rows[-1]["hvps"] == 0


@personal_lower
def test_the_mean_of_x_steps_along_the_mean_of_u(case):
    _, problem = quadratic(noise=0.5)
    for directed in (False, True):
        network = Dense(weights(case, 5, directed))
        before, after = (
            run(case.algorithm, problem, network, steps=steps, seed=1).state for steps in (24, 25)
        )
        same(after.u.mean(0), after.p.mean(0), 1e-13)  # tracking keeps the mean; without it u = p
        same(after.x.mean(0), before.x.mean(0) - 0.1 * after.u.mean(0), 1e-13)


@of({k: CASES[k] for k in ("diamond", "msgd", "gtsgd", "dsgd")})
def test_one_agent_with_momentum_is_sustain(case):
    c, problem = quadratic(N=1, noise=0.5)
    settings = {"eta": 1.0, "gamma": 1.0, **case.settings}
    length, noise = drawn_length(1, 8), drawn_noise(1, 0.5, 3, 4)
    want = sustain(c, **settings, steps=20, noise=noise, length=length)
    got = run(case.algorithm, problem, steps=20, seed=1).state
    same((got.x[0], got.y[0]), want, 1e-13)


@personal_lower
def test_tracking_reaches_the_personal_minimiser_and_the_others_do_not(case):
    problem, want = t2(), 6 / 13
    steps = {**case.settings, "K": 60, "L": 2.0, "full_sum": True}
    network = Dense(lazy_ring(4))
    last = run(type(case.algorithm)(**steps), problem, network, steps=300, every=300)
    error = abs(float(last.state.x.mean()) - want)
    if case.algorithm.tracking:
        # The series is cut after K terms: (1 - 1/4)^60 = 3e-8 is left of the flattest Hessian.
        same(last.state.x.ravel(), np.full(4, float(last.state.x.mean())), 1e-12)
        assert error < 1e-7
    else:
        assert error > 1e-3
    assert last.rows[-1]["distance"] == pytest.approx(error)


@of({k: CASES[k] for k in ("mdbo", "mdbo relaxed", "vrdbo")})
def test_both_trackers_keep_the_mean_of_their_momenta(case):
    _, problem = quadratic(noise=0.5)
    for directed in (False, True):
        network = Dense(weights(case, 5, directed))
        s = run(case.algorithm, problem, network, steps=25, seed=1).state
        same((s.p.mean(0), s.s.mean(0)), (s.u.mean(0), s.v.mean(0)), 1e-13)


def own_hypergradients_vanish(c):
    """The shared (x, y) where the means of the agents' own hypergradients and of ∇₂g are zero."""
    own = [B.T @ np.linalg.inv(A) for A, B in zip(c["A"], c["B"], strict=True)]
    pairs = list(zip(own, c["P"], c["Q"], c["R"], c["p"], c["r"], strict=True))
    A, B, b = (c[name].mean(0) for name in "ABb")
    matrix = np.block(
        [
            [
                np.mean([P + S @ Q.T for S, P, Q, *_ in pairs], axis=0),
                np.mean([Q + S @ R for S, _, Q, R, *_ in pairs], axis=0),
            ],
            [-B, A],
        ]
    )
    offset = np.concatenate([-np.mean([p + S @ r for S, *_, p, r in pairs], axis=0), b])
    return np.split(np.linalg.solve(matrix, offset), [len(c["p"][0])])


def world_of(problem, network):
    draws = Draws(0, problem.everyone(), problem.upper, problem.lower)
    return World(problem.f, problem.g, draws, *network.levels.mixers(problem.x0, Counter()))


@of({k: CASES[k] for k in ("mdbo", "mdbo relaxed", "vrdbo")})
@pytest.mark.parametrize("heterogeneity", [0.0, 1.0])
def test_own_hessians_rest_where_own_hypergradients_vanish(case, heterogeneity):
    c, problem = quadratic(heterogeneity=heterogeneity)
    x, y = own_hypergradients_vanish(c)
    x, y = torch.as_tensor(x).repeat(5, 1), torch.as_tensor(y).repeat(5, 1)
    method = type(case.algorithm)(**{**case.settings, "K": 300, "full_sum": True})
    world = world_of(problem, Dense(weights(case, 5)))
    q, v = method.estimates(world, x, y, world.draw.chain(0, 300), world.draw.zeta(0))
    rest = method.State(x, y, q, v, torch.zeros_like(x), torch.zeros_like(y), x, y)
    same(method.step(4, rest, world), rest, 1e-11)
    distance = float((x[0] - problem.solution().x).norm())
    assert distance > 1e-2 if heterogeneity else distance < 1e-12


@of({k: CASES[k] for k in ("mdbo", "vrdbo")})
def test_own_hessians_come_to_that_rest(case):
    c, problem = quadratic()
    settings = {**case.settings, "alpha": 0.05, "beta": 0.1, "K": 100, "full_sum": True}
    network = Dense(mixing.lazy(weights(case, 5)))
    state = run(type(case.algorithm)(**settings), problem, network, steps=500).state
    x, y = own_hypergradients_vanish(c)
    same((state.x, state.y), (np.tile(x, (5, 1)), np.tile(y, (5, 1))), 1e-3)


def rest_of_madsbo(c, W, **settings):
    """Where the affine map of a naive iteration of MA-DSBO rests: (x, y, z, h)."""
    N, d, p = *c["p"].shape, c["r"].shape[1]
    widths = (d, p, p, d)
    borders = np.cumsum(widths)[:-1]
    quiet = {"noise": drawn_noise(0, 0.0, d, p), "inner": drawn_inner(0, 0.0, d, p)}

    def step(w):
        start = np.split(w.reshape(N, -1), borders, axis=1)
        return np.hstack(madsbo(c, W, **settings, steps=1, **quiet, start=start)).ravel()

    offset = step(np.zeros(N * sum(widths)))
    T = np.stack([step(unit) - offset for unit in np.eye(len(offset))], axis=1)
    rest = np.linalg.solve(np.eye(len(offset)) - T, offset)
    assert np.abs(np.linalg.eigvals(T)).max() < 1
    return np.split(rest.reshape(N, -1), borders, axis=1)


def test_madsbo_rests_at_a_distance_that_falls_with_its_steps():
    c, problem = quadratic()
    network = Dense(lazy_ring(5))
    distances = []
    for scale in (1.0, 0.5):
        settings = {"alpha": 0.01 * scale, "beta": 0.01 * scale, "gamma": 0.1, "theta": 0.5}
        settings |= {"T_y": 4, "T_z": 150}
        rest = MADSBO.State(*map(torch.as_tensor, rest_of_madsbo(c, network.W, **settings)))
        same(MADSBO(**settings).step(3, rest, world_of(problem, network)), rest, 1e-11)
        distances.append(float((rest.x.mean(0) - problem.solution().x).norm()))
    assert distances[0] / distances[1] == pytest.approx(2, abs=0.1)


def test_loops_and_shares_out_of_range_are_refused():
    for name in ("T_y", "T_z"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            MADSBO(**{**CASES["madsbo"].settings, name: 0})
    with pytest.raises(ValueError, match="inner must be at least 1, got 0"):
        DSGD(**{**CASES["dsgd"].settings, "inner": 0})
    with pytest.raises(ValueError, match="relaxation must be"):
        MDBO(**{**CASES["mdbo"].settings, "relaxation": 0.0})


def test_lower_steps_are_told_where_they_act_so_that_older_records_stay():
    told, one = (provenance.settings(CASES[name].algorithm) for name in ("dsgd inner", "dsgd"))
    assert told == one | {"inner": "4"}


COUNTED = (*ORACLES, "rounds", "floats")
LOOKS = {"DIAMOND", "MSGD", "GTSGD", "DSGD", "MDBO", "VRDBO", "SLAM"}
"""Methods whose step looks at the lengths of its chains, if it draws them."""


@every
def test_a_step_written_down_as_one_graph_is_the_step(case, monkeypatch):
    """Whatever the compiler then makes of it."""
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, *_, **__: graph)
    monkeypatch.setattr(traced, "_kept", {})
    _, problem = quadratic(noise=0.5)
    network = None if case.algorithm.centralised else Dense(lazy_ring(5))
    slow, fast = (
        run(case.algorithm, problem, network, 9, every=3, compile=compiled)
        for compiled in (False, True)
    )
    conformance.equals(slow.state, fast.state, 1e-12)
    for mine, its in zip(slow.rows, fast.rows, strict=True):
        assert {k: mine[k] for k in COUNTED} == {k: its[k] for k in COUNTED}
    name, drawn = type(case.algorithm).__name__, not getattr(case.algorithm, "full_sum", False)
    looks = name in ("SVRINTERACT", "SRBA") or (name in LOOKS and drawn)
    assert ("compiling" in fast.provenance) != looks
