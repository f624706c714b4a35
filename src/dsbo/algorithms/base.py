"""What all algorithms share: frozen settings, of which every step size is a schedule."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

from dsbo.schedules import as_schedule
from dsbo.world import World


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


@dataclass(frozen=True)
class Algorithm:
    """A frozen dataclass of schedules with a nested State, and pure ``init`` and ``step``.

    Numbers given for settings that are annotated as `Schedule` become constant schedules.
    """

    shared_lower: ClassVar[bool] = True
    """True if all agents share one lower variable, False if each has its own."""
    centralised: ClassVar[bool] = False
    """True if mixing must be exact averaging."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if "Schedule" in str(setting.type) and value is not None:
                name = f"{type(self).__name__}.{setting.name}"
                object.__setattr__(self, setting.name, as_schedule(value, name))

    def init(self, x: Tensor, y: Tensor) -> Any:
        """Return the first State from equal starts ``x [n, d]`` and ``y [n, p]``."""
        raise NotImplementedError

    def step(self, t: int, s: Any, w: World) -> Any:
        """Return the State of iteration t + 1."""
        raise NotImplementedError


class XYZ(NamedTuple):
    """The variables of SOBA and its kin: upper ``x``, lower ``y``, auxiliary ``z``, average ``h``.

    x and h are ``[n, d]``, y and z ``[n, p]``.
    """

    x: Tensor
    y: Tensor
    z: Tensor
    h: Tensor
