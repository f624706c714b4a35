"""One hypergradient by ten steps of conjugate gradients, by this package and by others' ways.

The problem is that of a9a's size: 13 000 rows of 123 features for training and as many for
validation, two classes, a weight of the ridge for each feature. Others' ways are typed here from
what their packages do; where a package installs, it is called.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from timing import Found, Ratio, Thing, in_own_process, in_turn
from torch import Tensor
from torch.func import grad, vjp, vmap
from torch.nn.functional import cross_entropy

from dsbo import hypergrad
from dsbo.compiled import Compiled
from dsbo.problems import Problem
from dsbo_book.problems.logistic import LogisticLower

ROWS, FEATURES, CLASSES, CG = 13_000, 123, 2, 10
Data = tuple[Tensor, Tensor]


def upper(x: Tensor, y: Tensor, batch: Data) -> Tensor:  # noqa: ARG001
    """Return the validation loss."""
    return cross_entropy(batch[0] @ y, batch[1])


def lower(x: Tensor, y: Tensor, batch: Data) -> Tensor:
    """Return the training loss with its ridge."""
    ridge: Tensor = (torch.exp(x) * (y * y).sum(1)).sum() / y.numel()
    return cross_entropy(batch[0] @ y, batch[1]) + ridge


def setting() -> tuple[Data, Data, Tensor, Tensor]:
    """Return training and validation data of one-hot groups, and a point x, y."""
    g = torch.Generator().manual_seed(0)

    def drawn() -> Data:
        a = torch.zeros(ROWS, FEATURES)
        for start in range(0, FEATURES - 8, 8):
            a[torch.arange(ROWS), start + torch.randint(9, (ROWS,), generator=g)] = 1
        return a, torch.randint(CLASSES, (ROWS,), generator=g)

    x, y = torch.zeros(FEATURES), 0.1 * torch.randn(FEATURES, CLASSES, generator=g)
    return drawn(), drawn(), x, y


def solved(product: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
    """Return z after ten steps of conjugate gradients on H z = right."""
    z, residual, direction = torch.zeros_like(right), right, right
    squared = (residual * residual).sum()
    for _ in range(CG):
        Hd = product(direction)
        length = squared / (direction * Hd).sum()
        z, residual = z + length * direction, residual - length * Hd
        squared, previous = (residual * residual).sum(), squared
        direction = residual + squared / previous * direction
    return z


def reused_vjp() -> Tensor:
    """Call one pull-back of ∇₂g by torch.func again and again."""
    train, valid, x, y = SETTING
    gradient = grad(lower, 1)
    _, pull = vjp(lambda x, y: gradient(x, y, train), x, y)
    z = solved(lambda v: pull(v)[1], grad(upper, 1)(x, y, valid))
    return -pull(z)[0]


def retained_graph() -> Tensor:
    """Go through one retained graph by `autograd.grad`, as BOAT and betty do."""
    train, valid, x, y = SETTING
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    (right,) = torch.autograd.grad(upper(x, y, valid), y)
    (v,) = torch.autograd.grad(lower(x, y, train), y, create_graph=True)
    z = solved(lambda d: torch.autograd.grad(v, y, d, retain_graph=True)[0], right)
    return -torch.autograd.grad(v, x, z)[0]


def fixed_point() -> Tensor:
    """Differentiate the map y - ∇₂g through one retained graph, as hypertorch does."""
    train, valid, x, y = SETTING
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    (right,) = torch.autograd.grad(upper(x, y, valid), y)
    (v,) = torch.autograd.grad(lower(x, y, train), y, create_graph=True)
    mapped = y - v
    z = solved(lambda d: d - torch.autograd.grad(mapped, y, d, retain_graph=True)[0], right)
    return torch.autograd.grad(mapped, x, z)[0]


def by_torchopt() -> Thing:
    """Return TorchOpt's implicit differentiation, with its solver by conjugate gradients."""
    import torchopt
    from torchopt.diff.implicit import custom_root

    train, valid, x, y = SETTING
    solve = torchopt.linear_solve.solve_cg(maxiter=CG, rtol=0.0, atol=0.0)

    @custom_root(grad(lambda y, x: lower(x, y, train)), argnums=1, solve=solve)
    def solution(start: Tensor, x: Tensor) -> Tensor:  # noqa: ARG001
        return start.clone()

    def once() -> Tensor:
        at = x.clone().requires_grad_()
        loss = upper(at, solution(y, at), valid)
        return torch.autograd.grad(loss, at)[0]

    return once


def by_jaxopt() -> Thing:
    """Return JAXopt's implicit differentiation, with its solver by conjugate gradients, jitted."""
    import jax
    import jax.numpy as jnp
    from jaxopt.implicit_diff import custom_root
    from jaxopt.linear_solve import solve_cg

    train, valid, x, y = SETTING
    (a, c), (b, d) = ([jnp.asarray(part.numpy()) for part in data] for data in (train, valid))
    x, y = jnp.asarray(x.numpy()), jnp.asarray(y.numpy())

    def loss(y: Any, a: Any, c: Any) -> Any:
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(a @ y), c[:, None], 1))

    def below(y: Any, x: Any) -> Any:
        return loss(y, a, c) + (jnp.exp(x) * (y * y).sum(1)).sum() / y.size

    def solve(product: Any, right: Any, **_: Any) -> Any:
        return solve_cg(product, right, maxiter=CG, tol=0.0)

    @custom_root(jax.grad(below), solve=solve)
    def solution(start: Any, x: Any) -> Any:  # noqa: ARG001
        return start

    found = jax.jit(jax.grad(lambda x: loss(solution(y, x), b, d)))

    def once() -> Tensor:
        return torch.from_numpy(np.array(jax.block_until_ready(found(x))))

    return once


SETTING = setting()


def hypergradients(rounds: int) -> Found:
    """Time one hypergradient by ten CG steps at a9a's size, and the exact one."""
    train, valid, x, y = SETTING
    problem = Problem.from_losses(upper, lower, x, y, [valid], [train])
    xi, zeta = (s.full(problem.everyone()) for s in (problem.upper, problem.lower))
    at = problem.x0[None], problem.y0[None], xi, zeta
    ours = problem.f, problem.g
    compiled = Compiled(problem.f), Compiled(problem.g)
    closed = problem.f, LogisticLower(CLASSES)

    def batched_hessian() -> Tensor:
        gradient = grad(lower, 1)
        _, pull = vjp(lambda y: gradient(x, y, train), y)
        units = torch.eye(y.numel()).view(-1, *y.shape)
        return vmap(pull)(units)[0]

    things: dict[str, Thing] = {
        "one vjp, reused": reused_vjp,
        "retained graph (BOAT, betty)": retained_graph,
        "fixed point (hypertorch)": fixed_point,
        "dsbo, eager": lambda: hypergrad.cg(*ours, *at, steps=CG, tol=0.0),
        "dsbo, compiled": lambda: hypergrad.cg(*compiled, *at, steps=CG, tol=0.0),
        "dsbo, closed form": lambda: hypergrad.cg(*closed, *at, steps=CG, tol=0.0),
    }
    with ExitStack() as others:
        if importlib.util.find_spec("torchopt"):
            things["torchopt"] = by_torchopt()
        if importlib.util.find_spec("jaxopt"):
            things["jaxopt, jitted"] = others.enter_context(in_own_process(by_jaxopt))
        want = hypergrad.exact(*ours, *at)
        errors = {
            name: float((make() - want).norm() / want.norm()) for name, make in things.items()
        }
        took = in_turn(things, rounds)
    dense = {"batched Hessian": batched_hessian, "exact": lambda: hypergrad.exact(*ours, *at)}
    took |= in_turn(dense, 3)
    for name, error in errors.items():
        print(f"  {name:30} relative error {error:.3g}")
    base = took["one vjp, reused"]
    worst = max(abs(error / errors["dsbo, eager"] - 1) for error in errors.values())
    return Found(
        took,
        [
            Ratio("dsbo, eager / one vjp, reused", took["dsbo, eager"] / base, 0.9),
            Ratio("dsbo, compiled / one vjp, reused", took["dsbo, compiled"] / base, 0.5),
            Ratio("dsbo, closed form / one vjp, reused", took["dsbo, closed form"] / base, 0.5),
            Ratio("exact / batched Hessian", took["exact"] / took["batched Hessian"], 3),
            Ratio("largest difference of errors", worst, 0.02),
        ],
    )
