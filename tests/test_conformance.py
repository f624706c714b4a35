"""What every algorithm must satisfy. A new one is found by the CASES of its naive loop."""

import importlib
import pkgutil
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import reference
import torch
from cases import coefficients, doubly_stochastic, drawn_inner, drawn_length, drawn_noise, quadratic

from dsbo import MADSBO, MDBO, SLAM, SPARKLE, Dense, algorithms, conformance, mixing, run
from dsbo.algorithms import ALGORITHMS
from dsbo.problems import Quadratic


@dataclass(frozen=True)
class Case:
    algorithm: object
    reference: object
    settings: dict

    def run_reference(self, c, W, steps, seed, noise):
        settings = dict(self.settings)
        if "K" in settings:
            settings["length"] = drawn_length(seed, settings["K"])
        sizes = c["p"].shape[1], c["r"].shape[1]
        if "T_y" in settings or "q" in settings:
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


def of(cases):
    return pytest.mark.parametrize("case", cases.values(), ids=cases)


every = of(CASES)
personal_lower = of(
    {k: c for k, c in CASES.items() if not c.algorithm.shared_lower and "K" in c.settings}
)


def needs_symmetry(algorithm):
    """Whether a run refuses directed weights."""
    if not isinstance(algorithm, SPARKLE):
        return isinstance(algorithm, SLAM)
    return not {algorithm.upper, algorithm.lower, algorithm.auxiliary}.isdisjoint({"ED", "EXTRA"})


def weights(case, N, directed=False):
    if N == 1:
        return np.eye(1)
    if case.algorithm.centralised:
        return mixing.average(N)
    if needs_symmetry(case.algorithm):
        return mixing.lazy(mixing.lazy(doubly_stochastic(N, seed=N, directed=False)))
    return doubly_stochastic(N, seed=N, directed=directed)


def known(case, state):
    """The variables that the references follow: SOBA without theta has no average h."""
    fields = state._asdict()
    if case.algorithm.shared_lower and case.settings.get("theta") is None:
        fields.pop("h", None)
    return tuple(fields.values())


def test_every_algorithm_of_the_table_has_a_case():
    assert set(ALGORITHMS) == {type(case.algorithm) for case in CASES.values()}


@every
@pytest.mark.parametrize(("N", "directed"), [(1, False), (5, False), (5, True)])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_ten_steps_equal_the_naive_loop(case, N, directed, noise):
    c, problem = quadratic(N=N, noise=noise)
    W = weights(case, N, directed)
    trace = run(case.algorithm, problem, Dense(W) if N > 1 else None, steps=10, seed=3)
    want = case.run_reference(c, W, steps=10, seed=3, noise=noise)
    for got, loop in zip(known(case, trace.state), want, strict=False):
        np.testing.assert_allclose(got, loop, rtol=0, atol=1e-12)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_public_checks_pass(case, dtype):
    problem = Quadratic(**coefficients(), noise=0.5, dtype=dtype)
    tol = 1e-12 if dtype == torch.float64 else 2e-5
    conformance.check(case.algorithm, problem, weights(case, 5), tol)


@of({k: c for k, c in CASES.items() if "K" in c.settings and not c.algorithm.full_sum})
def test_agents_wait_for_the_longest_chain(case):
    _, problem = quadratic()
    last = run(case.algorithm, problem, Dense(weights(case, 5)), steps=7).rows[-1]
    length = drawn_length(0, case.settings["K"])
    chains = sum(max(length(i, t) for i in range(5)) for t in range(7))
    assert last["hvps"] == chains * case.algorithm.calls(3, 4)["jvps"]


@personal_lower
def test_the_mean_of_x_steps_along_the_mean_of_u(case):
    _, problem = quadratic(noise=0.5)
    close = partial(torch.testing.assert_close, rtol=0, atol=1e-13)
    for directed in (False, True):
        network = Dense(weights(case, 5, directed))
        before, after = (
            run(case.algorithm, problem, network, steps=steps, seed=1).state for steps in (24, 25)
        )
        close(after.u.mean(0), after.p.mean(0))  # tracking keeps the mean; without it u = p
        close(after.x.mean(0), before.x.mean(0) - 0.1 * after.u.mean(0))


def test_loops_and_shares_out_of_range_are_refused():
    for name in ("T_y", "T_z"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number"):
            MADSBO(**{**CASES["madsbo"].settings, name: 0})
    with pytest.raises(ValueError, match="relaxation must be"):
        MDBO(**{**CASES["mdbo"].settings, "relaxation": 0.0})
