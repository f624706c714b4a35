"""What all algorithms share: frozen settings, of which every step size is a schedule, and costs."""

from __future__ import annotations

import inspect
from collections import ChainMap
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple, Protocol, Self, get_type_hints

from torch import Tensor

from dsbo.checked import positive, real, whole
from dsbo.hypergrad import Chain, neumann
from dsbo.schedules import Constant, Momentum, Power, Schedule, as_schedule, at
from dsbo.stochastic import Weighted, require_balance
from dsbo.world import World

Upper = Annotated[Tensor, "[n, d]"]
"""A variable of the size of x."""
Lower = Annotated[Tensor, "[n, p]"]
"""A variable of the size of y."""
UNAVERAGED = Constant(1.0)
"""A moving average that is the newest value."""


class State(Protocol):
    """The variables of a run: a NamedTuple of tensors ``[n, …]``, x and y among them."""

    @property
    def x(self) -> Tensor:
        """Upper variables ``[n, d]``."""
        ...

    @property
    def y(self) -> Tensor:
        """Lower variables ``[n, p]``."""
        ...


class Cost(NamedTuple):
    """What an iteration costs an agent: formulas in d, p and the settings of the method.

    In them ``chain`` stands for the Hessian products of a Neumann chain: K - 1 with ``full_sum``,
    else as many as the longest chain of all agents has.

    >>> Cost(floats="d + 2*p", hvps="2*chain")
    Cost(floats='d + 2*p', rounds='1', upper_grads='1', lower_grads='1', jvps='1', hvps='2*chain')
    """

    floats: str
    """Numbers sent to each neighbour."""
    rounds: str = "1"
    upper_grads: str = "1"
    lower_grads: str = "1"
    jvps: str = "1"
    hvps: str = "1"

    def told(self) -> str:
        """Return the formulas as a sentence."""
        return (
            f"Cost of an iteration: {self.floats} numbers to each neighbour; rounds: "
            f"{self.rounds}; gradients of an agent's f: {self.upper_grads}, of g: "
            f"{self.lower_grads}, Jacobian products: {self.jvps}, Hessian products: {self.hvps}."
        ).replace("*", " ")


@dataclass(frozen=True)
class Algorithm:
    """A frozen dataclass of schedules with a nested State and a pure ``step``.

    Numbers given for settings that are annotated as `Schedule` become constant schedules. A class
    says what it is called (``title``), from where it is (``source``), what it costs (``cost``) and
    in which ``colour`` figures show it.
    """

    State: ClassVar[Any]
    title: ClassVar[str] = ""
    source: ClassVar[str] = ""
    colour: ClassVar[str] = "#000000"
    cost: ClassVar[Cost]
    shares: ClassVar[tuple[str, ...]] = ("theta", "eta")
    """Schedules that are weights of the newest estimate in an average."""
    roles: ClassVar[dict[str, str]] = {
        "alpha": "upper",
        "beta": "lower",
        "gamma": "auxiliary",
        "theta": "average",
    }
    """What `suggest` takes a setting for: a step of x ("upper"), of y ("lower") or of z
    ("auxiliary"); the weight of the newest in an "average", or in "recursive" momentum, with which
    steps fall; the "terms" of a Neumann series and the "bound" of its curvatures; a "radius" of z.
    """
    shared_lower: ClassVar[bool] = True
    """True if all agents share one lower variable, False if each has its own."""
    centralised: ClassVar[bool] = False
    """True if mixing must be exact averaging."""
    projectable: ClassVar[bool] = False
    """True if with x projected on a convex set after each step the method rests where it should.

    That is where x is the projection of x - alpha ∇Φ(x), or as near to it as without the set.
    """
    tracking: ClassVar[bool] = False
    """True if each mixed variable moves by a tracker, so that `PushPull` counts all agents alike.
    """
    inverts: ClassVar[str] = ""
    """Whose Hessian a Neumann series with the bound L inverts: "own", "mean", or nobody's."""

    def __init_subclass__(cls) -> None:
        if "cost" in vars(cls) and cls.__doc__:
            summary, _, rest = inspect.cleandoc(cls.__doc__).partition("\n\n")
            cls.__doc__ = "\n\n".join(part for part in (summary, cls.cost.told(), rest) if part)

    def __post_init__(self) -> None:
        for name in self.schedules:
            told = f"{type(self).__name__}.{name}"
            object.__setattr__(self, name, as_schedule(getattr(self, name), told))
        self.require_steps(0)
        for setting in fields(self):
            value = getattr(self, setting.name)
            if setting.type in (bool, "bool") and not isinstance(value, bool):
                name = f"{type(self).__name__}.{setting.name}"
                raise TypeError(f"{name} must be True or False, got {value!r}")

    @property
    def schedules(self) -> list[str]:
        """The names of the settings that are schedules."""
        kinds = {setting.name: str(setting.type) for setting in fields(self)}
        return [
            k
            for k, kind in kinds.items()
            if "Schedule" in kind and not ("None" in kind and getattr(self, k) is None)
        ]

    def require_steps(self, t: int) -> None:
        """Raise a TypeError or ValueError if a step of iteration t is none."""
        for name in self.schedules:
            schedule = getattr(self, name)
            if t and type(schedule) in (Constant, Power, Momentum):
                continue  # they do not grow, and are numbers
            told = f"{type(self).__name__}.{name}"
            value = real(schedule(t), f"{told} at t = {t}", least=0)
            if name in self.shares and value > 1:
                raise ValueError(f"{told} is a share in [0, 1], got {value}; give at most 1")

    def steps(self, t: int) -> list[float]:
        """Return what each schedule says of iteration t."""
        return [float(at(getattr(self, name), t)) for name in self.schedules]

    def with_steps(self, values: Sequence[Any]) -> Self:
        """Return the method with these values, also tensors, as its steps of every iteration."""
        other = copy(self)
        for name, value in zip(self.schedules, values, strict=True):
            object.__setattr__(other, name, partial(_given, value))
        return other

    def require_counts(self, *names: str) -> None:
        """Raise a TypeError or ValueError if one of these is not a whole number, at least 1."""
        for name in names:
            told = f"{type(self).__name__}.{name}"
            object.__setattr__(self, name, whole(getattr(self, name), told))

    def require_positive(self, *names: str) -> None:
        """Raise a TypeError or ValueError if one of these is not a positive number."""
        for name in names:
            told = f"{type(self).__name__}.{name}"
            object.__setattr__(self, name, positive(getattr(self, name), told))

    def fits(self, x: Weighted, y: Weighted, z: Weighted) -> None:
        """Raise a ValueError if the method cannot use the networks of x, y and z."""
        if not (x is y is z):
            raise ValueError(
                f"{type(self).__name__} mixes everything over one graph, but x, y and z have "
                "different ones; give one network instead of PerLevel, or use SPARKLE"
            )
        require_balance(x, self.tracking, type(self).__name__)

    def init(self, x: Tensor, y: Tensor) -> Any:
        """Return the first State from equal starts ``x [n, d]`` and ``y [n, p]``.

        What is called ``x_`` or ``y_``, a previous iterate, starts as x or y, all else as zero.
        """
        given = {"x": x, "y": y}
        like = {Upper: x, Lower: y}
        kinds = get_type_hints(self.State, include_extras=True)
        if odd := [name for name, kind in kinds.items() if kind not in like]:
            raise TypeError(
                f"{self.State.__name__}.{odd[0]} is annotated as neither Upper nor Lower; annotate "
                "it so, or write an init of your own"
            )
        parts = (
            given[name[0]]
            if name in ("x", "y", "x_", "y_")
            else like[kind].new_zeros(like[kind].shape)
            for name, kind in kinds.items()
        )
        return self.State(*parts)

    def step(self, t: int, s: Any, w: World) -> Any:
        """Return the State of iteration t + 1."""
        raise NotImplementedError

    def calls(self, d: int, p: int) -> dict[str, float]:
        """Return `cost` as numbers, for x ``[d]`` and y ``[p]`` and chains of full length."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        sizes = {"d": d, "p": p, "chain": settings.get("K", 1) - 1}
        names = ChainMap(sizes, settings, *(dict(vars(cls)) for cls in type(self).__mro__))
        return {key: eval(formula, {}, names) for key, formula in self.cost._asdict().items()}


def _given(value: Any, t: Any) -> Any:  # noqa: ARG001
    return value


def descend(v: Tensor, step: float | Tensor, direction: Tensor) -> Tensor:
    """Return v - step · direction; where the step is a number, in one pass over memory."""
    if isinstance(step, Tensor):
        return v - step * direction
    return v.sub(direction, alpha=step)


@dataclass(frozen=True)
class Momenta(Algorithm):
    """A method with momenta on both levels, whose upper estimates come from a Neumann series.

    Parameters
    ----------
    alpha, beta : float or Schedule
        Steps of x and y.
    eta, gamma : float or Schedule
        Weights of the newest estimates in the momenta of x and y, in [0, 1]; 1 keeps no momentum.
        They should be 1 at t = 0, where there is nothing to remember.
    K : int
        Terms of the Neumann series.
    L : float
        Bound on the largest eigenvalue of every lower Hessian. A run whose first batch shows that
        the series diverges, because an eigenvalue exceeds 2 L, does not start.
    full_sum : bool
        Add all terms of a chain up instead of drawing one; see `neumann`.
    """

    alpha: float | Schedule
    beta: float | Schedule
    eta: float | Schedule
    gamma: float | Schedule
    K: int
    L: float
    full_sum: bool = False

    shares: ClassVar[tuple[str, ...]] = ("eta", "gamma")
    roles: ClassVar[dict[str, str]] = {
        "alpha": "upper",
        "beta": "lower",
        "eta": "average",
        "gamma": "average",
        "K": "terms",
        "L": "bound",
    }
    inverts: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_counts("K")
        self.require_positive("L")

    def estimates(
        self, w: World, x: Tensor, y: Tensor, chain: Chain, zeta: Any
    ) -> tuple[Tensor, Tensor]:
        """Return every agent's own hypergradient ``[n, d]`` and lower gradient ``[n, p]``."""
        q = neumann(w.f, w.g, x, y, chain, self.L, self.full_sum)
        return q, w.g.grad(x, y, zeta)[1]


class XYZ(NamedTuple):
    """The variables of SOBA and its kin: upper, lower, auxiliary, and moving average h."""

    x: Upper
    y: Lower
    z: Lower
    h: Upper
