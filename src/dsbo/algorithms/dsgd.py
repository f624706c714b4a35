"""D-SGD, GT-SGD and M-SGD: DIAMOND without momentum, without tracking, or without both.

                 newest estimate alone    recursive momentum
    tracked u    GT-SGD                   DIAMOND
    u = p        D-SGD                    M-SGD

Qiu et al. 2023, section VI. The paper prints D-SGD's gradients at the iterate that they define;
here they are taken at the previous one, as they are printed for GT-SGD. Derived in
book/diamond.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from dsbo.algorithms.base import Cost, Momenta
from dsbo.algorithms.diamond import DIAMOND
from dsbo.schedules import Constant, Schedule


@dataclass(frozen=True)
class MSGD(DIAMOND):
    """Momentum without tracking: x steps along an agent's own momentum.

    See `DIAMOND` for the parameters.
    """

    title: ClassVar[str] = "M-SGD"
    source: ClassVar[str] = "Qiu et al. 2023, section VI"
    colour: ClassVar[str] = "#BDA10F"
    cost: ClassVar[Cost] = Cost("d", "1", "2", "inner + 1", "2", "2*chain")
    tracking: ClassVar[bool] = False


@dataclass(frozen=True)
class GTSGD(DIAMOND):
    """Tracking without momentum: the tracked quantity is the newest estimate.

    See `DIAMOND` for the parameters; eta and gamma are 1.
    """

    eta: float | Schedule = field(default=Constant(1.0), init=False)
    gamma: float | Schedule = field(default=Constant(1.0), init=False)

    title: ClassVar[str] = "GT-SGD"
    source: ClassVar[str] = "Qiu et al. 2023, section VI"
    colour: ClassVar[str] = "#6C4DFF"
    cost: ClassVar[Cost] = Cost("2*d", lower_grads="inner", hvps="chain")
    roles: ClassVar[dict[str, str]] = Momenta.roles
    momentum: ClassVar[bool] = False


@dataclass(frozen=True)
class DSGD(GTSGD):
    """Neither momentum nor tracking: every agent steps along its newest estimate.

    See `DIAMOND` for the parameters; eta and gamma are 1.
    """

    title: ClassVar[str] = "D-SGD"
    source: ClassVar[str] = "Qiu et al. 2023, section VI"
    colour: ClassVar[str] = "#4E3246"
    cost: ClassVar[Cost] = Cost("d", lower_grads="inner", hvps="chain")
    tracking: ClassVar[bool] = False
