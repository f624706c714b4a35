"""Steps for a method on a problem, from what the theory asks for.

Curvatures measured at the start give the first guess. With it the method must come to rest on a
quadratic that has these curvatures, over the same network: that sees what averages, trackers and
weights bear. Then it must survive a short trial on the problem itself.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from dsbo.algorithms import Algorithm
from dsbo.arguments import fitting
from dsbo.diverged import Diverged
from dsbo.network import Network, PerLevel
from dsbo.network.ranks import ALONE, here
from dsbo.problems import Problem, Quadratic
from dsbo.run import run
from dsbo.scales import SEED, Scales, measured
from dsbo.schedules import Constant, Momentum, Power
from dsbo.world import Draws, World

A = TypeVar("A", bound=Algorithm)
SHARE = 0.25
"""Of 1 / curvature of Φ that is taken: y, z and averages lag behind, and samples are noisy."""
MODEL, TRIAL = 400, 200
"""Iterations on the quadratic and on the problem."""
BEARS, SURVIVES = 1.5, 2.0
"""How many times the steps the quadratic must bear, and how many times that of x the trial."""
HALVINGS, LOWER_HALVINGS = 20, 3
"""Of a step, and of that of y where no step of x is small enough, at most."""
OMEGA, NEWEST, BIAS, TERMS = 2.0, 0.2, 0.1, 20
"""Shift of decreasing steps; weight of the newest estimate in an average; bias of a Neumann series,
and its terms at most."""


@dataclass(frozen=True)
class Suggestion(Generic[A]):
    """A method with steps, and the reason for each; print it.

    Parameters
    ----------
    algorithm : Algorithm
        The method.
    reasons : dict of str to str
        By setting.
    scales : Scales
        What was measured.
    """

    algorithm: A
    reasons: dict[str, str]
    scales: Scales

    def __str__(self) -> str:
        told = [type(self.algorithm).__name__]
        for name, why in self.reasons.items():
            value = getattr(self.algorithm, name)
            value = value.value if isinstance(value, Constant) else value
            shown = re.sub(r"\d+\.\d+(e[+-]?\d+)?", lambda n: f"{float(n[0]):.3g}", str(value))
            told += textwrap.wrap(f"  {name} = {shown}: {why}", 76, subsequent_indent=" " * 6)
        return "\n".join(told)


def suggest(
    method: type[A],
    problem: Problem,
    network: Network | PerLevel | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Suggestion[A]:
    """Return a method with steps inside its stability limits at the start of a problem.

    It takes about as long as a thousand iterations. What it finds holds at the start and for the
    200 iterations of the trial: where curvatures grow with x, bound x, by ``project=`` of `run`.
    Where the lower level is not convex, the limits are those of convex ones.

    Parameters
    ----------
    method : type
        Class of the method, such as ``DSOBA``.
    problem, network, progress
        As in `run`, with all agents in one process.
    **settings
        Settings of the method that are not asked for.

    Raises
    ------
    TypeError
        If ``method`` is no class of a method, or lacks a setting for which there is no rule.
    ValueError
        If the network does not fit, the lower level curves upwards nowhere, x changes nothing, or
        the method diverges whatever the steps.

    Examples
    --------
    >>> from dsbo import DSOBA, Dense, mixing
    >>> problem = Quadratic.random(4, 2, 2, 1.0, seed=0)
    >>> found = suggest(DSOBA, problem, Dense(mixing.average(4)), theta=1.0)
    >>> list(found.reasons)
    ['alpha', 'beta', 'gamma']
    """
    if not (isinstance(method, type) and issubclass(method, Algorithm)):
        raise TypeError(f"give the class of a method, such as DSOBA, not {method!r}")
    if here() is not ALONE:
        raise ValueError("suggest needs all agents in one process; call it before `join`")
    free = {field.name for field in fields(method) if field.init} - settings.keys()
    asked = {name: role for name, role in method.roles.items() if name in free}
    disable = None if progress is None else not progress
    with tqdm(desc="suggest", unit="step", disable=disable, delay=0.5) as bar, torch.no_grad():
        scales = measured(problem, method.shared_lower, bar.update)
        sizes, said = {"lower": 1 / scales.high}, {"lower": "", "upper": ""}
        if "upper" in asked.values():
            if not scales.phi > 0:
                raise ValueError(
                    "moving x does not change the hypergradient at the start, so nothing tells its "
                    f"step; give another x0, or {method.__name__} a step of x, alpha=…"
                )
            sizes["upper"] = SHARE / scales.phi
            if scales.slope * sizes["upper"] > scales.reach:
                sizes["upper"] = scales.reach / scales.slope
                said["upper"] = f", less so that x moves by at most {scales.reach:.3g} at first"

        def made(times: float, *only: str) -> A:
            chosen = {size: times * value * (size in only) for size, value in sizes.items()}
            rules = _rules(asked.values(), chosen, scales)
            return method(**{name: rules[role][0] for name, role in asked.items()} | settings)

        def lowered(size: str, times: float, why: str, behaves: Callable[[A], bool]) -> None:
            """Halve a size until the method behaves with so many times as much."""
            if size not in sizes:
                return
            only = ("lower",) if size == "lower" else ("lower", "upper")
            before = sizes[size]
            for lower in range(1 if size == "lower" else LOWER_HALVINGS):
                for n in range(HALVINGS):
                    if behaves(made(times, *only)):
                        said[size] += f", halved {n} × {why}" * (n > 0)
                        said["lower"] += f", halved {lower} × so that x may move" * (lower > 0)
                        return
                    sizes[size] /= 2
                # What the lower level hardly damps no upper step makes smaller.
                sizes[size], sizes["lower"] = before, sizes["lower"] / 2
            raise ValueError(
                f"{method.__name__} diverges on this problem and network, however small its "
                f"{size} step; is the lower level bounded from below, and are its data finite?"
            )

        def survives(algorithm: A) -> bool:
            try:
                run(algorithm, problem, network, TRIAL, SEED, TRIAL, progress=False)
            except Diverged:
                return False
            finally:
                bar.update(TRIAL)
            return True

        rests = "to come to rest on a quadratic of these curvatures over this network"
        for size in ("lower", "upper"):
            lowered(
                size, BEARS, rests, lambda algorithm: _rests(algorithm, network, problem, scales)
            )
        for size, times in (("lower", 1.0), ("upper", SURVIVES)):
            lowered(size, times, f"to survive {TRIAL} iterations", survives)
        algorithm = made(1.0, *sizes)
    rules = _rules(asked.values(), sizes, scales)
    return Suggestion(
        algorithm,
        {name: rules[role][1] + said.get(role, "") for name, role in asked.items()},
        scales,
    )


def _rules(roles: Any, sizes: dict[str, float], scales: Scales) -> dict[str, tuple[Any, str]]:
    """Return what a setting of each role should be, and why."""
    falls = "recursive" in roles
    steps = {
        size: Power(value * OMEGA ** (1 / 3), OMEGA, 1 / 3) if falls else Constant(value)
        for size, value in sizes.items()
    }
    fall = ", falling as recursive momentum needs it" * falls
    low = max(scales.low, scales.high / 1e3)
    bound = 1.2 * scales.own
    needed = max(1, math.ceil(math.log(BIAS) / math.log1p(-min(low / bound, 0.999))))
    terms = min(TERMS, needed)
    left = (1 - low / bound) ** terms
    return {
        "upper": (steps.get("upper", Constant(0.0)),
                  f"{SHARE:g} / curvature {scales.phi:.3g} of Φ{fall}"),
        "lower": (steps["lower"], f"1 / largest curvature {scales.high:.3g} of g{fall}"),
        "auxiliary": (steps["lower"], "as the step of y, since z meets the same Hessian"),
        "average": (
            (Constant(NEWEST), f"averages the noise of about {1 / NEWEST:.0f} draws")
            if scales.drawn or "terms" in roles  # of a random number
            else (Constant(1.0), "nothing is drawn at random, so that there is no noise to average")
        ),
        "recursive": (Momentum(OMEGA ** (2 / 3), Power(1.0, OMEGA, 1 / 3)),
                      "1 at first, then falls as the square of the steps"),
        "terms": (terms, f"leaves {left:.0%} of the series along the smallest curvature {low:.3g}"
                         + f" ({needed} terms would leave {BIAS:.0%})" * (terms < needed)
                         + "; fewer are cheaper, each takes Hessian products"),
        "bound": (bound, f"a fifth above the largest curvature {scales.own:.3g} of a batch"),
        "radius": (10 * max(scales.z, 1.0), f"ten times the largest ‖z‖ seen, {scales.z:.3g}"),
    }  # fmt: skip


def _rests(
    algorithm: Algorithm, network: Network | PerLevel | None, problem: Problem, scales: Scales
) -> bool:
    """Say whether a method comes to rest on a quadratic with these curvatures, from any start.

    Φ(x) = ½ phi x² of one variable; the lower level has two. The mean of the agents has curvatures
    low and high, so many agents as it takes the one of a single batch.
    """
    N, low = problem.agents, max(scales.low, scales.high / 100)
    random = np.random.default_rng(0)
    steep = max(1, round(N * scales.high / scales.own))
    flat = max(low, (N * scales.high - steep * scales.own) / max(1, N - steep))
    high = torch.from_numpy(np.where(random.permutation(N) < steep, scales.own, flat))
    A = torch.diag_embed(torch.stack([torch.full_like(high, low), high], 1))
    small = 1e-6 * low  # so that no bound on z is met
    c = torch.full((2, 1), (max(scales.phi, small) / small / 2) ** 0.5, dtype=A.dtype)
    R, zero = small * torch.eye(2).expand(N, 2, 2), A.new_zeros(N, 1, 2)
    P, p, r = zero[..., :1], zero[:, 0, :1], zero[:, 0]
    model = Quadratic(P=P, Q=zero, R=R, p=p, r=r, A=A, B=A @ c, b=r)
    mixers = fitting(algorithm, model, network).levels.mixers(model.x0, Counter())
    draws = Draws(SEED, model.everyone(), model.upper, model.lower)
    world = World(model.f, model.g, draws, *mixers)
    x, y = (torch.from_numpy(random.standard_normal((N, k))) for k in (1, 2))
    if algorithm.centralised:
        x, y = (rows.mean(0).expand_as(rows) for rows in (x, y))
    state, sizes = algorithm.init(x / c[0], y), []
    for t in range(MODEL):
        state = algorithm.step(t, state, world)
        sizes.append([float(part.norm()) for part in state])
        if not max(sizes[-1]) < 1e30:
            return False
    before, after = np.split(np.array(sizes), 2)
    return bool((after.max(0) <= 1.5 * before.max(0)).all())
