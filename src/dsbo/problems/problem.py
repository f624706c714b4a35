"""A bilevel problem that N agents share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from dsbo.checked import real
from dsbo.examine import examine
from dsbo.first_order import FirstOrder
from dsbo.layout import Tree, flatten
from dsbo.levels import Level, Loss, SecondOrder
from dsbo.memory import Derivatives, Method, predicted
from dsbo.problems.named import told
from dsbo.problems.samplers import Rows, minibatch, sizes
from dsbo.problems.shards import Shard
from dsbo.problems.tried import require_kinds, require_together, try_losses
from dsbo.report import Report
from dsbo.world import Sampler

DATA = "upper_data", "lower_data"
Metrics = Callable[[Any, Tensor, Tensor, bool], dict[str, float]]
"""(problem, x [N, d], y [N, p], shared) -> numbers for a row of a trace."""
Exact = Callable[[Any, Tensor, bool], tuple[Tensor, Tensor]]
"""(problem, x [d], shared) -> y*(x) and z*(x)."""


@dataclass(frozen=True, eq=False)
class Problem:
    """min over x of mean_i f_i(x, y), where y solves the lower level g; agent i owns f_i and g_i.

    Parameters
    ----------
    f, g : Level
        Upper and lower level.
    x0, y0 : Tensor
        Start ``[d]`` and ``[p]``, the same for every agent. Their dtype and device are the run's.
    agents : int
        Number N of agents.
    upper, lower : Sampler
        Where the samples xi of f and zeta of g come from.
    settings : dict
        What a trace should say about the problem; JSON types only.
    metrics : callable, optional
        ``(problem, x, y, shared) -> dict`` of the numbers that a trace records besides the upper
        loss: of the rows ``x [N, d]`` and ``y [N, p]``, for agents that share one lower level,
        whose estimate is then ȳ, or have one each.
    exact : callable, optional
        ``(problem, x, shared) -> (y*, z*)``, what `lower_solution` returns.
    unseen : dict
        Tensors that no agent sees and only ``metrics`` read, such as test samples.
    """

    f: Level
    g: Level
    x0: Tensor
    y0: Tensor
    agents: int
    upper: Sampler
    lower: Sampler
    settings: dict[str, Any] = field(default_factory=dict)
    metrics: Metrics | None = None
    exact: Exact | None = None
    unseen: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def from_losses(
        upper: Loss,
        lower: Loss,
        x0: Any,
        y0: Any,
        upper_data: Sequence[Shard],
        lower_data: Sequence[Shard],
        batch: Rows = None,
        ridge: float = 0.0,
        *,
        metrics: Metrics | None = None,
        name: str | None = None,
    ) -> Problem:
        """Make a problem of one's own from two loss functions and every agent's data.

        Parameters
        ----------
        upper, lower : callable
            One agent's ``(x, y, batch) -> scalar``, pure functions made of PyTorch operations.
            x and y arrive in the form of ``x0`` and ``y0``, the batch in the form of a shard.
        x0, y0 : Tensor, dict of Tensor, sequence of Tensor, or nn.Module
            Starts. A module stands for the dict of its parameters that require a gradient; in the
            loss call ``torch.func.functional_call(module, y, inputs)``.
        upper_data, lower_data : sequence
            One entry an agent: a tensor, a NumPy array, a tuple or a dict of them with the same
            number of rows, or a map-style ``Dataset`` of samples. An agent may have more rows than
            another one, and counts as much; in memory all are filled up to the longest.
        batch : int, or pair of int or None, optional
            Rows an agent draws in an iteration, of both levels or as (upper, lower); None, the
            default, takes all it has.
        ridge : float
            Adds ridge·‖y‖² to the lower loss.
        metrics : callable, optional
            ``(problem, x, y, shared) -> dict`` of numbers that a trace should record, see
            `Problem`; ``problem.unpack`` gives a row the form of its start.
        name : str, optional
            What tells these losses from others when a run is resumed; by default where they are
            defined, a checksum of their source, and the numbers, tensors, modules and functions of
            the same file that they hold.

        Raises
        ------
        TypeError, ValueError
            If a start or the data cannot be used; the message names the agent and the remedy.

        Examples
        --------
        >>> import torch
        >>> shards = [torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [7.0]])]
        >>> problem = Problem.from_losses(
        ...     upper=lambda x, y, batch: (y - 1).square().sum() + x.square().sum(),
        ...     lower=lambda x, y, batch: (y - x - batch).square().mean(),
        ...     x0=torch.zeros(1), y0=torch.zeros(1), upper_data=shards, lower_data=shards)
        >>> problem
        Problem(agents=2, d=1, p=1)
        """
        ridge = real(ridge, "ridge", least=0)
        require_kinds(upper, lower, metrics, name)
        x_row, x_layout = flatten(x0, "x0")
        y_row, y_layout = flatten(y0, "y0")
        if x_row.dtype != y_row.dtype:
            raise ValueError(f"x0 is {x_row.dtype} but y0 is {y_row.dtype}; convert one of them")
        rows = sizes(batch)
        samplers = (
            minibatch(upper_data, rows[0], DATA[0], x_row.device),
            minibatch(lower_data, rows[1], DATA[1], x_row.device),
        )
        agents = require_together(x_row, y_row, dict(zip(DATA, samplers, strict=True)))
        levels = (
            SecondOrder(upper, x_layout, y_layout, "upper"),
            SecondOrder(lower, x_layout, y_layout, "lower", ridge=ridge),
        )
        losses = name or [told(upper), told(lower)]
        drawn = [sampler.size for sampler in samplers]
        settings = {
            "name": "from_losses",
            "losses": losses,
            "batch": drawn[0] if drawn[0] == drawn[1] else drawn,
            "ridge": ridge,
            "forms": [
                str((layout.keys, *map(list, layout.shapes))) for layout in (x_layout, y_layout)
            ]
            + [str(sampler.form) for sampler in samplers],
        }
        problem = Problem(*levels, x_row, y_row, agents, *samplers, settings, metrics)
        try_losses(problem, *levels)
        return problem

    @property
    def d(self) -> int:
        """Size of the upper variable x."""
        return len(self.x0)

    @property
    def p(self) -> int:
        """Size of the lower variable y."""
        return len(self.y0)

    def first_order(self, delta: float | None = None, central: bool = False) -> Self:
        """Return the problem with second-order products replaced by gradient differences.

        See `FirstOrder` for the arguments.
        """
        g = FirstOrder(self.g, delta, central)
        settings = self.settings | {"first_order": {"delta": g.delta, "central": g.central}}
        return self._with(g=g, settings=settings)

    def to(self, device: torch.device | str) -> Self:
        """Return the problem with its starts and data on ``device``."""
        device = torch.device(device)
        if device == self.x0.device:
            return self
        data = {name: getattr(self, name) for name in ("x0", "y0", "upper", "lower", "unseen")}
        return self._with(**tree_map(lambda part: part.to(device), data))

    def everyone(self) -> Tensor:
        """Return the indices of all agents, ``[N]``."""
        return torch.arange(self.agents, device=self.x0.device)

    def check(
        self,
        x: Tensor | None = None,
        y: Tensor | None = None,
        shared: bool = True,
        *,
        algorithm: Method | None = None,
        steps: int = 2000,
        products: int = 100,
        directions: int = 3,
        progress: bool | None = None,
    ) -> Report:
        """Compare ∇Φ(x) by three ways, and tell curvature, cost, memory and what is wrong.

        All data of all agents are looked at; see `dsbo.examine`.

        Parameters
        ----------
        x, y : Tensor, optional
            Where, ``[d]``, and whence the lower level is solved, ``[p]``; by default the starts.
        shared : bool
            As in `lower_solution`.
        algorithm : Algorithm, optional
            Whose step the memory is told of; by default that of one set of derivatives.
        steps, products, directions : int
            At most so many gradients for a lower solution, so many Hessian products for ∇Φ, and
            directions of differences, each of which takes two lower solutions.
        progress : bool, optional
            As in `run`.
        """
        return examine(
            self, x, y, shared, algorithm or Derivatives(), steps, products, directions, progress
        )

    def memory(self, algorithm: Method, chunk: int | None = None) -> int:
        """Return how many bytes of tensors a run will add at its peak; see `dsbo.memory`.

        Parameters
        ----------
        algorithm : Algorithm
            What will run.
        chunk : int, optional
            As in `run`.
        """
        return predicted(algorithm, self, chunk)

    def upper_loss(self, x: Tensor, y: Tensor, shared: bool = True) -> float:
        """Return the mean of f_i(x̄, ȳ), or of f_i(x̄, y_i), over all data of all agents."""
        xbar = x.mean(0).expand_as(x)
        if shared:
            y = y.mean(0).expand_as(y)
        return float(self.f.value(xbar, y, self.upper.full(self.everyone())).mean())

    def lower_solution(self, x: Tensor, shared: bool = True) -> tuple[Tensor, Tensor]:
        """Return y*(x) and z*(x) of ``x [d]`` exactly.

        Parameters
        ----------
        x : Tensor
            One point for all agents.
        shared : bool
            True: the lower level is the mean of all g_i, and both are ``[p]``. False: every agent
            has its own, and both are ``[N, p]``.

        Raises
        ------
        TypeError
            If the problem was made without ``exact``.
        """
        if self.exact is None:
            raise TypeError("this problem does not know its lower solution; approach it by a run")
        return self.exact(self, x, shared)

    def hypergradient(self, x: Tensor, shared: bool = True) -> Tensor:
        """Return ∇Φ ``[d]`` at ``x [d]`` exactly; see `lower_solution`."""
        return self.slope(x, *self.lower_solution(x, shared))

    def slope(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return the mean of ∇₁f_i − ∇²₁₂g_i z over all data, ``[d]``: ∇Φ(x) at y*(x) and z*(x).

        Parameters
        ----------
        x, y, z : Tensor
            One point for all agents, or a row each.
        """
        x, y, z = (part.expand(self.agents, -1) for part in (x, y, z))
        everyone = self.everyone()
        u_x, _ = self.f.grad(x, y, self.upper.full(everyone))
        return (u_x - self.g.jac(x, y, self.lower.full(everyone), z)).mean(0)

    def unpack(self, x: Tensor | None = None, y: Tensor | None = None) -> Tree:
        """Return a row of x or of y in the form of ``x0`` or ``y0``."""
        if (x is None) == (y is None):
            raise ValueError("give either x or y")
        if not isinstance(self.f, SecondOrder):
            raise TypeError("the upper level does not know the form of x0 and y0")
        layout, row = (self.f.y_layout, y) if x is None else (self.f.x_layout, x)
        return layout.split(
            row if isinstance(row, Tensor) else torch.as_tensor(row, device=self.x0.device)
        )

    def _with(self, **changes: Any) -> Self:
        # dataclasses.replace would call the constructor of Quadratic, which takes coefficients.
        other = object.__new__(type(self))
        Problem.__init__(other, **vars(self) | changes)
        return other

    def __repr__(self) -> str:
        return f"{type(self).__name__}(agents={self.agents}, d={self.d}, p={self.p})"
