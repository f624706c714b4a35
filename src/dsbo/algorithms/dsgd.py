"""D-SGD, GT-SGD and M-SGD: DIAMOND without momentum, without tracking, or without both.

                 newest estimate alone    recursive momentum
    tracked u    GT-SGD                   DIAMOND
    u = p        D-SGD                    M-SGD

Qiu et al. 2023, section VI. The paper prints D-SGD's and GT-SGD's gradients at the iterate that
they define; here they are taken at the previous one. Derived in book/diamond.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from dsbo.algorithms.diamond import DIAMOND
from dsbo.schedules import Constant, Schedule


@dataclass(frozen=True)
class MSGD(DIAMOND):
    """Momentum without tracking: x steps along an agent's own momentum.

    An iteration sends d numbers to each neighbour, half of what DIAMOND sends, and costs the same
    oracle calls. See `DIAMOND` for the parameters.
    """

    tracking: ClassVar[bool] = False


@dataclass(frozen=True)
class GTSGD(DIAMOND):
    """Tracking without momentum: the tracked quantity is the newest estimate.

    An iteration sends 2d numbers to each neighbour and costs half of DIAMOND's oracle calls. See
    `DIAMOND` for the parameters; eta and gamma are 1.
    """

    eta: Schedule = field(default=Constant(1.0), init=False)
    gamma: Schedule = field(default=Constant(1.0), init=False)

    momentum: ClassVar[bool] = False


@dataclass(frozen=True)
class DSGD(GTSGD):
    """Neither momentum nor tracking: every agent steps along its newest estimate.

    An iteration sends d numbers to each neighbour and costs half of DIAMOND's oracle calls. See
    `DIAMOND` for the parameters; eta and gamma are 1.
    """

    tracking: ClassVar[bool] = False
