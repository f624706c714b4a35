"""Every method of the papers' complexity tables with noise: what a smaller mean ‖∇Φ‖² costs.

Kong et al. 2025 print a table of rates, Qiu et al. 2023 compare rates in words; neither runs them.
The rates bound the mean of ‖∇Φ(x̄)‖² over T iterations whose steps are constant and shrink like
T^(-1/2), or fall like t^(-1/3) under recursive momentum. So a method runs once for every T. The
constants are tuned for each method with the same budget.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dsbo import algorithms as a
from dsbo.algorithms import Algorithm
from dsbo.problems import Problem, Quadratic
from dsbo.schedules import Constant, Power, Schedule
from dsbo.trace import Trace
from dsbo_book.experiments import networks, tasks
from dsbo_book.experiments.study import Cell, Start, Study, cross, grid
from dsbo_book.experiments.tuning import REPORTED, trials

HORIZONS = (32, 128, 512)
"""T, the numbers of iterations."""
TUNED_AT = 32
"""The T at which constant steps are those of the grid, the shortest."""
SHIFT = 20.0
"""A falling step is c (1 + t / SHIFT)^-e."""
TERMS = 12
"""Terms of every Neumann series, all of them added up."""
BOUND = 2.0
"""The L of the Neumann series, above every lower Hessian of either problem."""
SERIES: dict[str, Any] = {"K": TERMS, "L": BOUND, "full_sum": True}
TRACKED: dict[str, Any] = dict.fromkeys(("upper", "lower", "auxiliary"), "ATC-GT")
Method = tuple[Callable[..., Algorithm], str]
"""What is called with alpha, beta and more: steps of ``z``, of inner ``loops``, or weights of one
``momentum`` or two ``momenta``."""
SHARED: dict[str, Method] = {
    "D-SOBA": (a.DSOBA, "z"),
    "SPARKLE-ED": (a.SPARKLE, "z"),
    "SPARKLE-GT": (partial(a.SPARKLE, **TRACKED), "z"),
    "SLDBO": (partial(a.SLDBO, radius=10.0), "z"),
    "MA-DSBO": (partial(a.MADSBO, theta=Constant(0.2), T_y=3, T_z=3), "loops"),
    "DSBO": (partial(a.DSBO, T_y=3, T_Q=3), "loops"),
    "SLAM": (partial(a.SLAM, **SERIES), "none"),
    "Gossip-DSBO": (partial(a.GossipDSBO, copies=TERMS, L=BOUND), "momentum"),
    "MDBO": (partial(a.MDBO, **SERIES), "momenta"),
    "VRDBO": (partial(a.VRDBO, **SERIES), "momenta"),
}
PERSONAL: dict[str, Method] = {
    "INTERACT": (partial(a.INTERACT, **SERIES), "none"),
    "SVR-INTERACT": (partial(a.SVRINTERACT, **SERIES, q=10), "none"),
    "DIAMOND": (partial(a.DIAMOND, **SERIES), "momenta"),
    "M-SGD": (partial(a.MSGD, **SERIES), "momenta"),
    "GT-SGD": (partial(a.GTSGD, **SERIES), "none"),
    "D-SGD": (partial(a.DSGD, **SERIES), "none"),
    "LoPA": (a.LOPA, "z"),
    "LoPA-GT": (a.LOPAGT, "z"),
}
ONE_LEVEL = "DSGD"
"""The table's single-level DSGD: what D-SOBA does where f does not depend on y."""
METHODS = {**SHARED, **PERSONAL, ONE_LEVEL: SHARED["D-SOBA"]}
RECURSIVE = ("VRDBO", "DIAMOND", "M-SGD")
"""Those whose steps fall like t^(-1/3) and momenta like t^(-2/3)."""
EXACT = "INTERACT"
"""Takes full gradients and steps that do not depend on T."""
PROBLEMS = ("quadratic", "logistic")
QUADRATIC = grid(alpha=(0.1, 0.3), beta=(0.2, 0.6))
CANDIDATES = {
    ("quadratic", False): QUADRATIC,
    ("quadratic", True): QUADRATIC,
    ("logistic", False): grid(alpha=(12.0, 40.0, 120.0), beta=(0.2, 0.5)),
    ("logistic", True): grid(alpha=(4.0, 12.0), beta=(0.2, 0.6)),
}
"""By problem and whether the lower level is personal, the same for all methods: alpha and beta
at T = `TUNED_AT`, or at t = 0."""


def _steps(alpha: float, beta: float, *methods: str) -> dict[str, Cell]:
    return {method: {"alpha": alpha, "beta": beta} for method in methods}


TUNED = {
    "quadratic": {
        **_steps(0.3, 0.6, *METHODS),
        **_steps(0.1, 0.6, *PERSONAL),
        **_steps(0.3, 0.2, "DSBO", "VRDBO", "DIAMOND"),
        **_steps(0.1, 0.2, "SLDBO", "MA-DSBO", "SLAM", ONE_LEVEL),
    },
    "logistic": {
        **_steps(120.0, 0.5, "SPARKLE-ED", "SPARKLE-GT", "MA-DSBO"),
        **_steps(120.0, 0.2, "D-SOBA", "Gossip-DSBO"),
        **_steps(40.0, 0.5, "SLDBO", "DSBO"),
        **_steps(40.0, 0.2, "SLAM", "MDBO"),
        **_steps(12.0, 0.6, *PERSONAL),
        **_steps(12.0, 0.2, *RECURSIVE, "D-SGD"),
    },
}
"""What the tuner chose, by problem and method; the chapter compares it with the record."""
ROWS = {"quadratic": 128, "logistic": 32}
"""Of a trace that is reported, at most; the exact ∇Φ of a logistic regression costs many steps."""
AGENTS = 8
"""On a ring where each keeps half."""


def start(cell: Cell, rows: dict[str, int] = ROWS) -> Start:
    """Return what a cell starts: a run of T iterations."""
    problem, method, T = cell["problem"], cell["method"], cell["T"]
    exact = method == EXACT
    task = {
        "quadratic": partial(quadratic, noise=0.0 if exact else 1.0, one_level=method == ONE_LEVEL),
        "logistic": partial(
            tasks.drawn_logistic,
            heterogeneity=0.5,
            agents=AGENTS,
            features=8,
            useful=4,
            classes=2,
            train=100,
            validation=100,
            test=800,
            batch=None if exact else 10,
            seed=cell["seed"],
        ),
    }[problem]
    network = networks.regular("adjusted ring", AGENTS, 0.5)
    every = max(1, T // rows[problem])
    return Start(algorithm(cell), task, network, T, every, compile=problem == "logistic")


def algorithm(cell: Cell) -> Algorithm:
    """Return the method of a cell with its steps for T iterations."""
    recursive, exact = cell["method"] in RECURSIVE, cell["method"] == EXACT
    shrink = 1.0 if exact else (TUNED_AT / cell["T"]) ** 0.5

    def rule(size: float) -> Schedule:
        if recursive:
            return Power(size * SHIFT ** (1 / 3), SHIFT, 1 / 3)
        return Constant(size * shrink)

    alpha, beta = rule(cell["alpha"]), rule(cell["beta"])
    falling = Power(SHIFT ** (2 / 3), SHIFT, 2 / 3)
    eta: Schedule = falling if recursive else Constant(0.2 * shrink)
    method, kind = METHODS[cell["method"]]
    more: dict[str, list[Schedule]] = {
        "none": [],
        "z": [beta],
        # A loop with tracking bears steps up to (1 + λ)²/(2L), λ the least eigenvalue, here 0.
        "loops": [rule(cell["beta"] / 3)],
        "momentum": [eta],
        "momenta": [eta, eta],
    }
    return method(alpha, beta, *more[kind])


def quadratic(
    noise: float, one_level: bool = False, agents: int = AGENTS, d: int = 3, p: int = 4
) -> Problem:
    """Return a quadratic whose agents share the second derivatives of g and differ in the rest.

    So also the methods that invert their own Hessians have their rest at the solution. The
    eigenvalues of A lie in [1, 2]. With one level f does not depend on y.

    Parameters
    ----------
    noise : float
        Standard deviation in every gradient.
    one_level : bool
        See above.
    agents, d, p : int
        Sizes.
    """
    rng, N = np.random.default_rng(11), agents

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


def _cells(problem: str, method: str, longest: int) -> list[Cell]:
    """Return every T to run for: the longest alone where the steps do not depend on T."""
    anytime = method in RECURSIVE or method == EXACT
    those = [T for T in HORIZONS if longest >= T][-1 if anytime else 0 :]
    return grid(problem=[problem], method=[method], graph=["ring"], T=those)


def _figure(problems: tuple[str, ...], longest: int) -> list[Cell]:
    """Return every method on every problem for every T, with the steps it was tuned to."""
    return [
        cell | tuned
        for problem in problems
        for method, tuned in TUNED[problem].items()
        for cell in _cells(problem, method, longest)
    ]


def _trials(problems: tuple[str, ...], longest: int) -> list[Cell]:
    """Return every candidate of every method, on held-out seeds.

    The runs are as long as the shortest that are reported: where steps shrink, what is stable there
    is so in longer ones.
    """
    cells = [
        _cells(problem, method, longest)[0] for problem in problems for method in TUNED[problem]
    ]
    return trials(cells, lambda cell: CANDIDATES[cell["problem"], cell["method"] in PERSONAL])


def mean_square(trace: Trace, horizon: int) -> float:
    """Return the mean of ‖∇Φ(x̄)‖² over the first iterations of a trace, by the trapezoidal rule."""
    frame = trace.frame[trace.frame["step"] <= horizon]
    known = "stationarity" in frame
    square = frame["stationarity"] if known else frame["hypergradient"] ** 2
    return float(np.trapezoid(square.to_numpy(float), frame["step"].to_numpy()) / horizon)


fine = partial(start, rows=dict.fromkeys(ROWS, 128))
STUDIES = {
    "paper": Study(cross(_figure(PROBLEMS, 512), grid(seed=REPORTED)), start),
    "quick": Study(cross(_figure(PROBLEMS[:1], 32), grid(seed=[0])), start),
}
"""``quick`` is what a page runs."""
TUNING = {
    "paper": Study(_trials(PROBLEMS, 512), fine),
    "quick": Study(_trials(PROBLEMS[:1], 32), fine),
}
