"""Every method of the papers' complexity tables with noise: what a smaller mean ‖∇Φ‖² costs.

Kong et al. 2025 print a table of rates, Qiu et al. 2023 compare rates in words; neither runs them.
The rates bound the mean of ‖∇Φ(x̄)‖² over T iterations whose steps are constant and shrink like
T^(-1/2), or fall like t^(-1/3) under recursive momentum. So a method runs once for every T. The
constants are tuned for each method with the same budget.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dsbo import algorithms as a
from dsbo import graphs, mixing
from dsbo.algorithms import Algorithm
from dsbo.network import Dense
from dsbo.problems import Problem, Quadratic
from dsbo.schedules import Constant, Power, Schedule
from dsbo.trace import Trace
from dsbo_book.experiments import logistic, tuning
from dsbo_book.experiments.jobs import Job, Start
from dsbo_book.experiments.tuning import HELD_OUT, Steps

HORIZONS = (32, 128, 512)
"""T, the numbers of iterations."""
TUNED_AT = 32
"""The T at which constant steps are those of the grid, the shortest."""
SHIFT = 20.0
"""A falling step is c (1 + t / SHIFT)^-e."""
TERMS = 12
"""Terms of every Neumann series, all of them added up."""
TRACKED = dict.fromkeys(("upper", "lower", "auxiliary"), "ATC-GT")
Rules = dict[str, Any]
"""Keyword arguments: alpha, beta; gamma of z; eta of momenta; L of the series."""


def _xyz(method: Callable[..., Algorithm], **more: Any) -> Callable[[Rules], Algorithm]:
    return lambda r: method(r["alpha"], r["beta"], r["beta"], **more)


def _loops(method: Callable[..., Algorithm], **more: Any) -> Callable[[Rules], Algorithm]:
    return lambda r: method(r["alpha"], r["beta"], r["gamma"], **more)


def _series(method: Callable[..., Algorithm], **more: Any) -> Callable[[Rules], Algorithm]:
    return lambda r: method(r["alpha"], r["beta"], K=TERMS, L=r["L"], full_sum=True, **more)


def _momenta(method: Callable[..., Algorithm]) -> Callable[[Rules], Algorithm]:
    return lambda r: method(
        r["alpha"], r["beta"], r["eta"], r["eta"], K=TERMS, L=r["L"], full_sum=True
    )


SHARED: dict[str, Callable[[Rules], Algorithm]] = {
    "D-SOBA": _xyz(a.DSOBA),
    "SPARKLE-ED": _xyz(a.SPARKLE),
    "SPARKLE-GT": _xyz(a.SPARKLE, **TRACKED),
    "SLDBO": _xyz(a.SLDBO, radius=10.0),
    "MA-DSBO": _loops(a.MADSBO, theta=0.2, T_y=3, T_z=3),
    "DSBO": _loops(a.DSBO, T_y=3, T_Q=3),
    "SLAM": _series(a.SLAM),
    "Gossip-DSBO": lambda r: a.GossipDSBO(r["alpha"], r["beta"], r["eta"], copies=TERMS, L=r["L"]),
    "MDBO": _momenta(a.MDBO),
    "VRDBO": _momenta(a.VRDBO),
}
PERSONAL: dict[str, Callable[[Rules], Algorithm]] = {
    "INTERACT": _series(a.INTERACT),
    "SVR-INTERACT": _series(a.SVRINTERACT, q=10),
    "DIAMOND": _momenta(a.DIAMOND),
    "M-SGD": _momenta(a.MSGD),
    "GT-SGD": _series(a.GTSGD),
    "D-SGD": _series(a.DSGD),
    "LoPA": _xyz(a.LOPA),
    "LoPA-GT": _xyz(a.LOPAGT),
}
ONE_LEVEL = "DSGD"
"""The table's single-level DSGD: what D-SOBA does where f does not depend on y."""
METHODS = {**SHARED, **PERSONAL, ONE_LEVEL: SHARED["D-SOBA"]}
RECURSIVE = ("VRDBO", "DIAMOND", "M-SGD")
"""Those whose steps fall like t^(-1/3) and momenta like t^(-2/3)."""
EXACT = "INTERACT"
"""Takes full gradients and steps that do not depend on T."""
PROBLEMS = ("quadratic", "logistic")
QUADRATIC = tuning.grid(alphas=(0.1, 0.3), betas=(0.2, 0.6))
GRIDS = {
    ("quadratic", "shared"): QUADRATIC,
    ("quadratic", "personal"): QUADRATIC,
    ("logistic", "shared"): tuning.grid(alphas=(12.0, 40.0, 120.0), betas=(0.2, 0.5)),
    ("logistic", "personal"): tuning.grid(alphas=(4.0, 12.0), betas=(0.2, 0.6)),
}
"""The candidates by problem and class, the same for every method of it: alpha and beta at
T = `TUNED_AT`, or at t = 0."""
BOUNDS = {"quadratic": 2.0, "logistic": 2.0}
"""The L of the Neumann series, above every lower Hessian."""
TUNED: dict[str, dict[str, Steps]] = {
    "quadratic": {
        **dict.fromkeys(METHODS, Steps(0.3, 0.6)),
        **dict.fromkeys(PERSONAL, Steps(0.1, 0.6)),
        **dict.fromkeys(("DSBO", "VRDBO", "DIAMOND"), Steps(0.3, 0.2)),
        **dict.fromkeys(("SLDBO", "MA-DSBO", "SLAM", ONE_LEVEL), Steps(0.1, 0.2)),
    },
    "logistic": {
        **dict.fromkeys(("SPARKLE-ED", "SPARKLE-GT", "MA-DSBO"), Steps(120.0, 0.5)),
        **dict.fromkeys(("D-SOBA", "Gossip-DSBO"), Steps(120.0, 0.2)),
        **dict.fromkeys(("SLDBO", "DSBO"), Steps(40.0, 0.5)),
        **dict.fromkeys(("SLAM", "MDBO"), Steps(40.0, 0.2)),
        **dict.fromkeys(PERSONAL, Steps(12.0, 0.6)),
        **dict.fromkeys((*RECURSIVE, "D-SGD"), Steps(12.0, 0.2)),
    },
}
"""What the tuner chose, by problem and method; the chapter compares it with the record."""
ROWS = {"quadratic": 128, "logistic": 32}
"""Of a trace that is reported; the exact ∇Φ of the logistic regression costs many steps."""


@dataclass(frozen=True)
class Settings:
    """What shapes the numbers of the experiment.

    Parameters
    ----------
    problems : tuple of str
        Of `PROBLEMS`.
    agents : int
        On a ring where each keeps half.
    d, p : int
        Sizes of the quadratic.
    noise : float
        Its standard deviation in every gradient.
    samples, batch : int
        Of each kind and agent in the logistic regression, and drawn of them in an iteration.
    longest, seeds
        Of `HORIZONS`, and the seeds that are reported.
    """

    problems: tuple[str, ...] = PROBLEMS
    agents: int = 8
    d: int = 3
    p: int = 4
    noise: float = 1.0
    samples: int = 100
    batch: int = 10
    longest: int = 512
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


SCALES = {
    "paper": Settings(),
    "quick": Settings(problems=("quadratic",), longest=32, seeds=(0,)),
}
"""``quick`` is what a page runs."""


def jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs: every method on every problem for every T, with the steps it was tuned to.

    A method whose steps do not depend on T runs once, for the longest.
    """
    seeds = settings.seeds if seeds is None else tuple(seeds)
    return [
        job(settings, problem, method, TUNED[problem][method], T, seed, ROWS[problem])
        for problem in settings.problems
        for method in methods(problem)
        for T in horizons(settings, method)
        for seed in seeds
    ]


def tuning_jobs(settings: Settings, seeds: Sequence[int] | None = None) -> list[Job]:
    """Return the runs that chose the steps: the grid for every method, on held-out seeds.

    They are as long as the shortest that are reported: where steps shrink, what is stable there is
    so in longer ones.
    """
    seeds = HELD_OUT if seeds is None else tuple(seeds)
    return [
        job(settings, problem, method, steps, horizons(settings, method)[0], seed)
        for problem in settings.problems
        for method in methods(problem)
        for steps, seed in itertools.product(grid(problem, method), seeds)
    ]


def methods(problem: str) -> list[str]:
    """Return the methods that run on a problem: the one level is a quadratic only."""
    return [name for name in METHODS if problem == "quadratic" or name != ONE_LEVEL]


def grid(problem: str, method: str) -> tuple[Steps, ...]:
    """Return the candidates of a method on a problem."""
    return GRIDS[problem, "personal" if method in PERSONAL else "shared"]


def horizons(settings: Settings, method: str) -> tuple[int, ...]:
    """Return every T to run for: the longest alone where the steps do not depend on T."""
    those = tuple(T for T in HORIZONS if settings.longest >= T)
    return those[-1:] if method in RECURSIVE or method == EXACT else those


def job(
    settings: Settings,
    problem: str,
    method: str,
    steps: Steps,
    horizon: int,
    seed: int,
    rows: int = 128,
) -> Job:
    """Return one run of a method for a number of iterations, with so many rows at most."""
    told = {k: v for k, v in asdict(settings).items() if k not in ("problems", "longest", "seeds")}
    told |= {
        "experiment": "complexity",
        "problem": problem,
        "method": method,
        "graph": "ring",
        "c_alpha": steps.alpha,
        "c_beta": steps.beta,
        "shift": SHIFT,
        "terms": TERMS,
        "L": BOUNDS[problem],
        "seed": seed,
    }
    sizes = (f"alpha-{steps.alpha:g}", f"beta-{steps.beta:g}")
    words = (problem, method, f"T-{horizon}", *sizes, f"seed-{seed}")
    return Job(
        name="_".join(words).lower(),
        told=told,
        start=partial(_start, settings, problem, method, steps, horizon, seed),
        steps=horizon,
        record=max(1, horizon // rows),
        compile=problem == "logistic",
    )


def algorithm(problem: str, method: str, steps: Steps, horizon: int) -> Algorithm:
    """Return a method with its steps for a number of iterations."""

    def rule(size: float) -> Schedule:
        if method in RECURSIVE:
            return Power(size * SHIFT ** (1 / 3), SHIFT, 1 / 3)
        return Constant(size if method == EXACT else size * shrink)

    shrink = (TUNED_AT / horizon) ** 0.5
    eta: Schedule = Constant(0.2 * shrink)
    if method in RECURSIVE:
        eta = Power(SHIFT ** (2 / 3), SHIFT, 2 / 3)
    return METHODS[method](
        {
            "alpha": rule(steps.alpha),
            "beta": rule(steps.beta),
            # A loop with tracking bears steps up to (1 + λ)²/(2L), λ the least eigenvalue, here 0.
            "gamma": rule(steps.beta / 3),
            "eta": eta,
            "L": BOUNDS[problem],
        }
    )


def task(settings: Settings, problem: str, method: str, seed: int) -> Problem:
    """Return the problem as a method sees it."""
    if problem == "quadratic":
        noise = 0.0 if method == EXACT else settings.noise
        return quadratic(settings, noise, one_level=method == ONE_LEVEL)
    data = replace(
        logistic.SCALES["quick"],
        agents=settings.agents,
        features=8,
        useful=4,
        classes=2,
        train=settings.samples,
        validation=settings.samples,
        test=800,
        batch=None if method == EXACT else settings.batch,
    )
    return logistic.problem(data, "synthetic", "mild", seed)


def quadratic(settings: Settings, noise: float, one_level: bool = False) -> Quadratic:
    """Return a quadratic whose agents share the second derivatives of g and differ in the rest.

    So also the methods that invert their own Hessians have their rest at the solution. The
    eigenvalues of A lie in [1, 2]. With one level f does not depend on y.
    """
    rng = np.random.default_rng(11)
    N, d, p = settings.agents, settings.d, settings.p

    def positive(k: int) -> Any:
        basis, _ = np.linalg.qr(rng.standard_normal((k, k)))
        return basis * np.linspace(1, 2, k) @ basis.T

    def symmetric(k: int) -> Any:
        half = rng.standard_normal((N, k, k))
        return 0.2 * (half + half.transpose(0, 2, 1))

    def everyone(matrix: Any) -> Any:
        return np.broadcast_to(matrix, (N, *matrix.shape)).copy()

    A = positive(p)
    A, B = everyone(A + A.T) / 2, everyone(0.3 * rng.standard_normal((p, d)))
    P = positive(d)
    P, R = (P + P.T) / 2 + symmetric(d), 0.5 * np.eye(p) + symmetric(p)
    Q = 0.3 * rng.standard_normal((N, d, p))
    linear_x, linear_y, b = (1 + rng.standard_normal((N, k)) for k in (d, p, p))
    if one_level:
        Q, R, linear_y, B = 0 * Q, 0 * R, 0 * linear_y, 0 * B
    return Quadratic(P=P, Q=Q, R=R, p=linear_x, r=linear_y, A=A, B=B, b=b, noise=noise)


def _start(
    settings: Settings, problem: str, method: str, steps: Steps, horizon: int, seed: int
) -> Start:
    ring = Dense(mixing.uniform(graphs.ring(settings.agents), self_weight=0.5))
    return (
        algorithm(problem, method, steps, horizon),
        task(settings, problem, method, seed),
        ring,
    )


def mean_square(trace: Trace, horizon: int) -> float:
    """Return the mean of ‖∇Φ(x̄)‖² over the first iterations of a trace, by the trapezoidal rule."""
    frame = trace.frame[trace.frame["step"] <= horizon]
    known = "stationarity" in frame
    square = frame["stationarity"] if known else frame["hypergradient"] ** 2
    return float(np.trapezoid(square.to_numpy(float), frame["step"].to_numpy()) / horizon)
