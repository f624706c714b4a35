"""What PyTorch's words about a loss mean for who wrote it.

A loss is mapped over the agents and differentiated twice, which PyTorch cannot do with everything.
Its texts say what it could not do, not what to write instead.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from contextlib import contextmanager

REMEDIES = {
    ("random operation",): "draws random numbers; put them into the data, so that a run can be "
    "told again, and take dropout out: .eval(), or p=0",
    ("calling .item()",): "takes a number out of a tensor (float, item, print), where "
    "differentiation ends; use tensors all the way",
    ("doesn't have storage",): "leaves PyTorch (numpy, tolist), where differentiation ends; use "
    "functions of torch",
    ("data-dependent control flow",): "branches on the value of a tensor (if, while, assert, max); "
    "use torch.where, clamp or torch.maximum",
    ("Batch norm got a batched tensor",): "updates the running statistics of a BatchNorm, so it is "
    "not a pure function; take track_running_stats=False, GroupNorm or LayerNorm, or .eval()",
    ("aten::lstm", "aten::gru", "aten::rnn_"): "uses layers that are not mapped over agents; for "
    "nn.RNN and nn.GRU take nn.RNNCell and nn.GRUCell in a loop, an LSTM needs gates of nn.Linear",
    ("aten::rrelu",): "uses RReLU, which draws random numbers; take LeakyReLU",
    ("Batching rule not implemented", "do not yet support aten"): "uses an operation that is not "
    "mapped over agents; write it by others, or take it out of the loss",
    ("dynamic shape",): "makes a tensor whose size depends on values (a mask as index, nonzero, "
    "unique); weight the terms by torch.where(mask, terms, 0) instead",
    (
        "is not possible because there exists",
        "doesn't match the broadcast shape",
        "leaf Variable",
    ): "writes into a tensor in place; build a new one by torch.stack, cat or where",
    ("Can't detach views",): "makes a tensor of a tensor, which ends differentiation; leave "
    "torch.tensor(…) out",
    ("escaped from inside a function",): "keeps a tensor of one call for another, as checkpoint() "
    "of PyTorch does; leave that out, chunk= saves memory",
    ("one_hot",): "uses one_hot, which looks at values; give num_classes",
    ("Jitted modules",): "calls a scripted module; use the module that it was made of",
    ("for sparse tensors", "SparseCPU"): "makes sparse tensors; take dense ones (sparse=False)",
    ("must only return Tensors",): "must return one tensor, a scalar",
    ("backward() called inside",): "calls backward(); return the scalar, which is differentiated "
    "here",
    ("does not require grad and does not have a grad_fn",): "differentiates by itself; use "
    "torch.func.grad within a loss",
    ("override the setup_context",): "uses an autograd.Function that is not mapped over agents; "
    "give it setup_context and generate_vmap_rule = True",
    ("expected scalar type", "have the same dtype"): "mixes types of numbers; x0, y0, the data and "
    "what the loss makes need one dtype: convert by .float() or .double()",
    ("derivative for", "once_differentiable"): "uses an operation without a second derivative; "
    "replace it, or take differences of gradients: problem.first_order()",
}
"""What a loss does, and what to do instead, by words of PyTorch."""


@contextmanager
def explaining(name: str) -> Iterator[None]:
    """Say of PyTorch's errors about the loss of level ``name`` what to write instead.

    Raises
    ------
    ValueError
        In place of an error of PyTorch that is known, which is its cause. All others pass.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        for words, remedy in () if _is_the_users(error) else REMEDIES.items():
            if any(word in str(error) for word in words):
                said = str(error).splitlines()[0]
                raise ValueError(f"the {name} loss {remedy}. PyTorch says: {said}") from error
        raise


def _is_the_users(error: Exception) -> bool:
    """Say whether an error was raised by a statement outside PyTorch, whatever its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if type(error) not in (RuntimeError, NotImplementedError, ValueError) or trace is None:
        return True
    raised = trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return raised and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] != "torch"
