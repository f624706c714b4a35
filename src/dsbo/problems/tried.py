"""What a problem is made of is tried once, so that a mistake is told before a run starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from dsbo.levels import SecondOrder
from dsbo.problems.samplers import Minibatch
from dsbo.ragged import Ragged

if TYPE_CHECKING:
    from dsbo.problems.problem import Problem


def require_kinds(upper: Any, lower: Any, metrics: Any, name: Any) -> None:
    """Raise a TypeError if losses or metrics are no functions, or the name is no text."""
    for what, value in (("upper", upper), ("lower", lower), ("metrics", metrics)):
        if not callable(value) and (what != "metrics" or value is not None):
            raise TypeError(f"{what} must be a function, got {value!r}")
    if not isinstance(name, str | None):
        raise TypeError(f"name must be a text, got {name!r}")


def require_together(x0: Tensor, y0: Tensor, samplers: dict[str, Minibatch]) -> int:
    """Return the number of agents of starts and data that belong together.

    Parameters
    ----------
    x0, y0 : Tensor
        Starts.
    samplers : dict
        Of the upper and of the lower data, by the names of these.

    Raises
    ------
    ValueError
        If they are on several devices, or have different numbers of agents.
    """
    held = [("y0", y0), *((name, part) for name, own in samplers.items() for part in own.data)]
    for where, part in held:
        if part.device != x0.device:
            raise ValueError(f"x0 is on {x0.device}, {where} on {part.device}; move one")
    (upper, agents), (lower, others) = ((k, len(own.data[0])) for k, own in samplers.items())
    if others != agents:
        raise ValueError(f"{upper} has {agents} agents, {lower} {others}; need one entry each")
    return agents


def try_losses(problem: Problem, f: SecondOrder, g: SecondOrder) -> None:
    """Evaluate both losses of agent 0 once, at the start.

    Parameters
    ----------
    problem : Problem
        With its starts and data.
    f, g : SecondOrder
        Its levels, as they were made of the losses.

    Raises
    ------
    ValueError
        If a loss writes into what it is called with, returns something else than a finite real
        scalar, or does not depend on its variable; the message says what to write instead.
    Exception
        Whatever the loss raises, with a note of the shapes it was called with.
    """
    if torch.is_inference_mode_enabled():
        raise ValueError(
            "losses are differentiated; make and run problems outside torch.inference_mode()"
        )
    x, y, one = problem.x0[None].clone(), problem.y0[None].clone(), problem.everyone()[:1]
    for name, level, sampler in (("upper", f, problem.upper), ("lower", g, problem.lower)):
        handed = x, y, batch = x, y, sampler.full(one)
        before = [part._version for part in tree_leaves(handed) if isinstance(part, Tensor)]
        try:
            value = level.value(x, y, batch)
        except Exception as error:
            own = batch.filled if isinstance(batch, Ragged) else batch
            trees = level.x_layout.split(x), level.y_layout.split(y), own
            kinds = tree_map_only(Tensor, lambda p: f"{p.dtype} {list(p.shape[1:])}", trees)
            error.add_note(f"The {name} loss was tried on agent 0's x, y and data: {kinds}")
            raise
        if before != [p._version for p in tree_leaves(handed) if isinstance(p, Tensor)]:
            how = "writes into what it is called with, as a /= 2 does; write a = a / 2"
            raise ValueError(f"the {name} loss {how}")
        if not isinstance(value, Tensor):
            raise ValueError(f"the {name} loss must return one tensor, a scalar, not several")
        if value.is_complex() or value.shape != (1,):
            what = value.dtype if value.is_complex() else f"shape {tuple(value.shape[1:])}"
            raise ValueError(f"the {name} loss must return a real scalar, it returned {what}")
        if not value.isfinite().all():
            told = f"the {name} loss of agent 0 starts at {float(value)}"
            raise ValueError(f"{told}; give another start, or other data")
        on_x, on_y = level.depends(x, y, batch)
        if not (on_y or (on_x if level is f else g.ridge)):
            lacks = "depends on neither x nor y" if level is f else "does not depend on y"
            raise ValueError(
                f"the {name} loss {lacks}; use the x and y that it is called with, of a module "
                "by torch.func.functional_call(module, y, inputs), without detach or no_grad"
            )
