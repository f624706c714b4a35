"""One level of a bilevel problem: a loss, its gradients and its second-order products.

An algorithm needs three questions answered, for all agents at once: the value, the two partial
gradients, and the products of the second derivatives with a vector v. `Level.grad_hess` gets both
products out of one more backward pass, because

    ∂/∂x ⟨∇₂g(x, y), v⟩ = ∇²₁₂g v        ∂/∂y ⟨∇₂g(x, y), v⟩ = ∇²₂₂g v .

A chain of Hessian products needs neither gradient nor Jacobian on its way: `Level.hess` and
`Level.jac` give one product alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.utils._pytree import tree_map

from dsbo.layout import Layout, Tree

Loss = Callable[[Tree, Tree, Any], Tensor]
"""One agent's loss: (x, y, batch) -> scalar tensor."""
Pair = tuple[Tensor, Tensor]
Quad = tuple[Tensor, Tensor, Tensor, Tensor]


class Level(Protocol):
    """What an algorithm may ask of a level; ``n`` agents, ``x [n, d]``, ``y [n, p]``."""

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``."""
        ...

    def grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        ...

    def grad_hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Quad:
        """Return ∇₁ ``[n, d]``, ∇₂ ``[n, p]``, ∇²₁₂ v ``[n, d]`` and ∇²₂₂ v ``[n, p]``."""
        ...

    def jac(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return ∇²₁₂ v ``[n, d]`` alone."""
        ...

    def hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return ∇²₂₂ v ``[n, p]`` alone."""
        ...

    def counted(self, calls: Counter[str]) -> Level:
        """Return the same level that adds its oracle calls, by kind, to ``calls``."""
        ...

    def compiled(self) -> Level:
        """Return the same level with its derivatives compiled."""
        ...


@dataclass(frozen=True)
class SecondOrder:
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
    compile : bool
        Run the derivatives through `torch.compile`; the first call then takes seconds.
    """

    loss: Loss
    x_layout: Layout
    y_layout: Layout
    name: str
    ridge: float = 0.0
    compile: bool = False
    calls: Counter[str] = field(default_factory=Counter, compare=False, repr=False)

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``. Not counted: only metrics ask for it."""
        losses = self._losses(self.x_layout.split(x), self.y_layout.split(y), batch)
        return losses + self.ridge * (y * y).sum(1) if self.ridge else losses

    def grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``; one gradient call."""
        self.calls[f"{self.name}_grads"] += 1
        pair: Pair = self._kernel(SecondOrder._grad)(self, x, y, batch)
        return pair

    def grad_hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Quad:
        """Return ∇₁, ∇₂, ∇²₁₂ v and ∇²₂₂ v; one gradient, one Jacobian and one Hessian product."""
        self.calls.update({f"{self.name}_grads": 1, "jvps": 1, "hvps": 1})
        quad: Quad = self._kernel(SecondOrder._grad_hess)(self, x, y, batch, v)
        return quad

    def jac(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return ∇²₁₂ v ``[n, d]``; one Jacobian product."""
        self.calls["jvps"] += 1
        product: Tensor = self._kernel(SecondOrder._jac)(self, x, y, batch, v)
        return product

    def hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return ∇²₂₂ v ``[n, p]``; one Hessian product, which does not differentiate in x."""
        self.calls["hvps"] += 1
        product: Tensor = self._kernel(SecondOrder._hess)(self, x, y, batch, v)
        return product

    def counted(self, calls: Counter[str]) -> SecondOrder:
        """Return the same level that adds its oracle calls to ``calls``."""
        return replace(self, calls=calls)

    def compiled(self) -> SecondOrder:
        """Return the same level with its derivatives compiled."""
        return replace(self, compile=True)

    def _kernel(self, derivative: Callable[..., Any]) -> Callable[..., Any]:
        return _compiled(derivative) if self.compile else derivative

    def _ridged(self, derivative: Tensor, at: Tensor) -> Tensor:
        return torch.add(derivative, at, alpha=2 * self.ridge) if self.ridge else derivative

    def _losses(self, x: Tree, y: Tree, batch: Any) -> Tensor:
        if batch is None:
            return vmap(lambda x, y: self.loss(x, y, None))(x, y)
        return vmap(self.loss)(x, y, batch)

    def _grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        # Views are taken before differentiation: autograd then never pads a slice to a full row.
        trees = self.x_layout.split(x), self.y_layout.split(y)
        g1, g2 = grad(lambda x, y: self._losses(x, y, batch).sum(), (0, 1))(*trees)
        return self.x_layout.join(g1), self._ridged(self.y_layout.join(g2), y)

    def _grad_hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Quad:
        trees = self.x_layout.split(x), self.y_layout.split(y)
        v_leaves = _leaves(self.y_layout.split(v))

        def pairing(x: Tree, y: Tree) -> tuple[Tensor, tuple[Tree, Tree]]:
            g1, g2 = grad(lambda x, y: self._losses(x, y, batch).sum(), (0, 1))(x, y)
            product = sum((a * b).sum() for a, b in zip(_leaves(g2), v_leaves, strict=True))
            return torch.as_tensor(product), (g1, g2)

        (jv, hv), (g1, g2) = grad(pairing, (0, 1), has_aux=True)(*trees)
        x_rows, y_rows = self.x_layout.join, self.y_layout.join
        g2, hv = self._ridged(y_rows(g2), y), self._ridged(y_rows(hv), v)
        return x_rows(g1), g2, x_rows(jv), hv

    def _pairing(self, x: Tree, y: Tree, batch: Any, v: Tree) -> Tensor:
        """⟨∇₂, v⟩, whose gradients in x and y are the two products."""
        g2 = grad(lambda y: self._losses(x, y, batch).sum())(y)
        return torch.as_tensor(
            sum((a * b).sum() for a, b in zip(_leaves(g2), _leaves(v), strict=True))
        )

    def _jac(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        y_tree, v_tree = self.y_layout.split(y), self.y_layout.split(v)
        product = grad(lambda x: self._pairing(x, y_tree, batch, v_tree))(self.x_layout.split(x))
        return self.x_layout.join(product)

    def _hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        x_tree, v_tree = self.x_layout.split(x), self.y_layout.split(v)
        product = grad(lambda y: self._pairing(x_tree, y, batch, v_tree))(self.y_layout.split(y))
        return self._ridged(self.y_layout.join(product), v)


def _leaves(tree: Tree) -> list[Tensor]:
    return [tree] if isinstance(tree, Tensor) else list(getattr(tree, "values", lambda: tree)())


@cache
def _compiled(derivative: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(derivative, dynamic=False)


@dataclass(frozen=True)
class OneByOne:
    """The same answers as ``level``, computed for one agent after the other.

    A batched product may add up in an order that depends on how many agents are in the batch.
    Alone, an agent's row has the same bits whoever else is here.

    Parameters
    ----------
    first : Level
        Computes the first row, and counts: oracle calls are those of one agent.
    others : Level
        Computes the other rows.
    """

    first: Level
    others: Level

    @classmethod
    def of(cls, level: Level) -> OneByOne:
        """Return ``level`` one by one."""
        return cls(level, level.counted(Counter()))

    def value(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """Return each agent's loss, ``[n]``."""
        return self._each("value", batch, x, y)[0]

    def grad(self, x: Tensor, y: Tensor, batch: Any) -> Pair:
        """Return ∇₁ ``[n, d]`` and ∇₂ ``[n, p]``."""
        g1, g2 = self._each("grad", batch, x, y)
        return g1, g2

    def grad_hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Quad:
        """Return ∇₁, ∇₂, ∇²₁₂ v and ∇²₂₂ v."""
        g1, g2, jv, hv = self._each("grad_hess", batch, x, y, v)
        return g1, g2, jv, hv

    def jac(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return ∇²₁₂ v ``[n, d]`` alone."""
        return self._each("jac", batch, x, y, v)[0]

    def hess(self, x: Tensor, y: Tensor, batch: Any, v: Tensor) -> Tensor:
        """Return ∇²₂₂ v ``[n, p]`` alone."""
        return self._each("hess", batch, x, y, v)[0]

    def counted(self, calls: Counter[str]) -> OneByOne:
        """Return the same level that adds one agent's oracle calls to ``calls``."""
        return replace(self, first=self.first.counted(calls))

    def compiled(self) -> OneByOne:
        """Return the same level with its derivatives compiled."""
        return OneByOne(self.first.compiled(), self.others.compiled())

    def _each(self, derivative: str, batch: Any, *rows: Tensor) -> tuple[Tensor, ...]:
        parts = []
        for i in range(len(rows[0])):
            # A copy, because the bits of a product may also depend on where a row starts.
            own = partial(_row, i=i)
            x, y, *v = map(own, rows)
            level = self.others if i else self.first
            got = getattr(level, derivative)(x, y, tree_map(own, batch), *v)
            parts.append(got if isinstance(got, tuple) else (got,))
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _row(value: Any, i: int) -> Any:
    return value[i : i + 1].clone() if isinstance(value, Tensor) else value
