"""One level of a bilevel problem: a loss, its gradients and its second-order products.

An algorithm asks for all agents at once: the value, the two partial gradients, and the products of
the second derivatives with a vector v. Both products come out of one more backward pass, because

    ∂/∂x ⟨∇₂g(x, y), v⟩ = ∇²₁₂g v        ∂/∂y ⟨∇₂g(x, y), v⟩ = ∇²₂₂g v .

Who wants several products at one point asks for the point, `Level.at`: what does not depend on v
is then computed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.func import vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from dsbo.layout import Layout, Tree
from dsbo.ragged import Ragged
from dsbo.remedies import explaining

Loss = Callable[[Tree, Tree, Any], Tensor]
"""One agent's loss: (x, y, batch) -> scalar tensor."""
Pair = tuple[Tensor, Tensor]
Quad = tuple[Tensor, Tensor, Tensor, Tensor]


class Point(Protocol):
    """A level at one point of n agents; v is ``[n, p]``, or ``[k, n, p]`` for k vectors at once."""

    def grad(self) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        ...

    def both(self, v: Tensor) -> Pair:
        """Return ∇²₁₂ v ``[…, n, d]`` and ∇²₂₂ v ``[…, n, p]``."""
        ...

    def jac(self, v: Tensor) -> Tensor:
        """Return ∇²₁₂ v ``[…, n, d]`` alone."""
        ...

    def hess(self, v: Tensor) -> Tensor:
        """Return ∇²₂₂ v ``[…, n, p]`` alone."""
        ...


class Level:
    """What an algorithm may ask of a level; ``n`` agents, ``x [n, d]``, ``y [n, p]``.

    A level says its value, its gradients and what it is `at` a point; the rest follows.
    """

    differences: ClassVar[bool] = False
    """Whether products are made of gradients."""

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``. Not counted: only metrics ask for it."""
        raise NotImplementedError

    def grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``; one gradient call."""
        return self.at(x, y, batch).grad()

    def at(self, x: Tensor, y: Tensor, batch: Any) -> Point:
        """Return the level at a point, which answers gradients and products as often as wanted."""
        raise NotImplementedError

    def grad_hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Quad:
        """Return ∇₁ ``[n, d]``, ∇₂ ``[n, p]``, ∇²₁₂ v ``[n, d]`` and ∇²₂₂ v ``[n, p]``."""
        point = self.at(x, y, batch)
        return *point.grad(), *point.both(v)

    def jac(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return ∇²₁₂ v ``[n, d]`` alone."""
        return self.at(x, y, batch).jac(v)

    def hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return ∇²₂₂ v ``[n, p]`` alone."""
        return self.at(x, y, batch).hess(v)

    def counted(self, calls: Counter[str]) -> Level:
        """Return the same level that adds its oracle calls, by kind, to ``calls``."""
        raise NotImplementedError

    def over(self, made: Callable[[Level], Level]) -> Level:
        """Return ``made`` of the level that differentiates: this one, or that within."""
        return made(self)


def count_products(calls: Counter[str], v: Tensor, *kinds: str) -> None:
    """Count one product of each kind for every vector in v."""
    calls.update(dict.fromkeys(kinds, len(v) if v.ndim == 3 else 1))


@dataclass(frozen=True)
class SecondOrder(Level):
    """A level by automatic differentiation of one agent's loss.

    The loss is mapped over the agents, so N agents cost one batched matmul where a loop would
    launch N. The agents' losses do not touch each other's variables, so the gradient of their sum
    holds every agent's own gradient in its row.

    Parameters
    ----------
    loss : callable
        One agent's (x, y, batch) -> scalar. It sees x and y in the shapes of the layouts and must
        be a pure function: whatever is random comes in through the batch.
    x_layout, y_layout : Layout
        Shapes behind the flat rows.
    name : str
        ``"upper"`` or ``"lower"``: the prefix under which gradients are counted.
    ridge : float
        Adds ridge·‖y‖² to the loss. Equal to writing it into the loss, but its derivatives take
        two temporaries of y's size instead of five.
    """

    loss: Loss
    x_layout: Layout
    y_layout: Layout
    name: str
    ridge: float = 0.0
    calls: Counter[str] = field(default_factory=Counter, compare=False, repr=False)

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``. Not counted: only metrics ask for it."""
        losses = self.losses(self.x_layout.leaves(x), self.y_layout.leaves(y), batch)
        return losses + self.ridge * (y * y).sum(1) if self.ridge else losses

    def grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``; one gradient call."""
        return AutogradPoint(self, x, y, batch, products=False).grad()

    def at(self, x: Tensor, y: Tensor, batch: Any) -> AutogradPoint:
        """Return the level at a point."""
        return AutogradPoint(self, x, y, batch)

    def counted(self, calls: Counter[str]) -> SecondOrder:
        """Return the same level that adds its oracle calls to ``calls``."""
        return replace(self, calls=calls)

    def depends(self, x: Tensor, y: Tensor, batch: Any) -> tuple[bool, bool]:
        """Say whether the losses depend on x, and whether on y, by their graph."""
        with torch.enable_grad():
            at_x, at_y = (
                [leaf.detach().requires_grad_() for leaf in layout.leaves(rows)]
                for layout, rows in ((self.x_layout, x), (self.y_layout, y))
            )
            total = self.losses(at_x, at_y, batch).sum()
            if not total.requires_grad:
                return False, False
            with explaining(self.name):
                found = torch.autograd.grad(total, [*at_x, *at_y], allow_unused=True)
        used = [part is not None for part in found]
        return any(used[: len(at_x)]), any(used[len(at_x) :])

    def losses(self, x: Sequence[Tensor], y: Sequence[Tensor], batch: Any) -> Tensor:
        """Return each agent's loss without the ridge, ``[n]``."""
        trees = self.x_layout.tree(x), self.y_layout.tree(y)
        with explaining(self.name), _attention_of_parts():
            if batch is None:
                return vmap(lambda x, y: self.loss(x, y, None))(*trees)
            if isinstance(batch, Ragged):
                return batch.mapped(self.loss, *trees)
            return vmap(self.loss)(*trees, batch)


@contextmanager
def _attention_of_parts() -> Iterator[None]:
    """Compute attention by operations that are mapped over agents and have a second derivative."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class AutogradPoint:
    """The gradients at a point, with the graph that made them; see `Point`.

    Leaves are views of the rows, taken before differentiation: autograd then never pads a slice
    to a full row.
    """

    def __init__(
        self, level: SecondOrder, x: Tensor, y: Tensor, batch: Any, products: bool = True
    ) -> None:
        self.level, self.y = level, y
        with torch.enable_grad():
            self.at_x, self.at_y = (
                [leaf.detach().requires_grad_() for leaf in layout.leaves(rows)]
                for layout, rows in ((level.x_layout, x), (level.y_layout, y))
            )
            total = level.losses(self.at_x, self.at_y, batch).sum()
            with explaining(level.name):
                found = _derivatives([total], [*self.at_x, *self.at_y], None, products)
            self.g1, self.g2 = found[: len(self.at_x)], found[len(self.at_x) :]

    def grad(self) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        self.level.calls[f"{self.level.name}_grads"] += 1
        g1, g2 = self.level.x_layout.join(self.g1), self.level.y_layout.join(self.g2)
        return g1.detach(), self._ridged(g2.detach(), self.y)

    def both(self, v: Tensor) -> Pair:
        """Return ∇²₁₂ v ``[…, n, d]`` and ∇²₂₂ v ``[…, n, p]``."""
        count_products(self.level.calls, v, "jvps", "hvps")
        found, k = self._products(v, [*self.at_x, *self.at_y]), len(self.at_x)
        jv, hv = self.level.x_layout.join(found[:k]), self.level.y_layout.join(found[k:])
        return jv, self._ridged(hv, v)

    def jac(self, v: Tensor) -> Tensor:
        """Return ∇²₁₂ v ``[…, n, d]`` alone."""
        count_products(self.level.calls, v, "jvps")
        return self.level.x_layout.join(self._products(v, self.at_x))

    def hess(self, v: Tensor) -> Tensor:
        """Return ∇²₂₂ v ``[…, n, p]`` alone, which does not differentiate in x."""
        count_products(self.level.calls, v, "hvps")
        return self._ridged(self.level.y_layout.join(self._products(v, self.at_y)), v)

    def _products(self, v: Tensor, at: list[Tensor]) -> Sequence[Tensor]:
        with explaining(self.level.name):
            return _derivatives(self.g2, at, self.level.y_layout.leaves(v), True, v.ndim == 3)

    def _ridged(self, derivative: Tensor, at: Tensor) -> Tensor:
        ridge = self.level.ridge
        return torch.add(derivative, at, alpha=2 * ridge) if ridge else derivative


def _derivatives(
    of: Sequence[Tensor],
    at: Sequence[Tensor],
    along: Sequence[Tensor] | None,
    keep: bool,
    batched: bool = False,
) -> Sequence[Tensor]:
    """Return the gradients of ``of``, or of its product with ``along``; zero where there is none.

    The graph is kept if asked for, and so is that of gradients themselves.
    """
    pairs = list(zip(of, [None] * len(of) if along is None else along, strict=True))
    linked = [(part, way) for part, way in pairs if part.requires_grad]
    if not linked:
        lead = along[0].shape[:1] if along and batched else ()
        return [part.new_zeros(*lead, *part.shape) for part in at]
    outputs, ways = zip(*linked, strict=True)
    found = torch.autograd.grad(
        outputs,
        at,
        ways,
        retain_graph=keep,
        create_graph=keep and along is None,
        allow_unused=True,
        is_grads_batched=batched,
    )
    lead = ways[0].shape[:1] if batched else ()
    return [
        part.new_zeros(*lead, *part.shape) if one is None else one
        for one, part in zip(found, at, strict=True)
    ]
