"""Work on tensors written down once as a graph, and compiled.

What is written down are the operations on tensors, whatever Python asked for them: derivatives,
loops, classes. So it must be work whose Python does not look at the values of tensors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx

Graph = Callable[..., Sequence[Tensor]]
KEPT = 32
"""Compiled graphs that a process keeps for later runs."""
UNWRITTEN = (AssertionError, AttributeError, RuntimeError, TypeError, ValueError)
"""What work raises that has no graph, or whose graph the compiler refuses."""
OPTIONS = {"size_asserts": False}
"""Of the compiler: who calls a graph sees to shapes and strides."""
_kept: dict[Any, Graph] = {}


def written(work: Callable[..., Any], *args: Any) -> tuple[fx.GraphModule, list[Tensor]]:
    """Return the graph of ``work(*args)``, and the tensors that it takes after those in args.

    These are what the work closes over, such as data.

    Parameters
    ----------
    work : callable
        Takes lists of tensors and tensors, gives a list of tensors.
    args : list of Tensor, or Tensor
        No tensor twice: what is done with one would be taken for done with the other.
    """
    # Slow to import, and often not needed.
    from torch._guards import TracingContext, tracing
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    # One mode of tensors without data for all of the graph; by default each node gets its own.
    with tracing(TracingContext(FakeTensorMode(allow_fallback_kernels=True))):
        graph = make_fx(work)(*args)
    *_, last = (node for node in graph.graph.nodes if node.op == "placeholder")
    held = []
    for node in [node for node in graph.graph.nodes if node.op == "get_attr"]:
        held.append(getattr(graph, node.target))
        with graph.graph.inserting_after(last):
            last = graph.graph.placeholder(f"held_{len(held)}")
        node.replace_all_uses_with(last)
        graph.graph.erase_node(node)
    for node in graph.graph.nodes:
        node.meta.clear()  # what it says of shapes is of tensors that were there for writing
    graph.graph.set_codegen(fx.graph.CodeGen())  # takes its inputs flat, as they are
    graph.recompile()
    return graph, held


def compiled(graph: fx.GraphModule, inputs: Sequence[Tensor]) -> Graph:
    """Return the graph compiled for inputs of these shapes and strides."""
    kinds = ((part.dtype, part.shape, part.stride(), part.device) for part in inputs)
    key = graph.code, torch.get_num_threads(), tuple(kinds)
    if key not in _kept:
        if len(_kept) == KEPT:
            _kept.pop(next(iter(_kept)))
        with _unsaid("torch.utils.cpp_extension"):  # that CUDA's tools are here and no GPU
            _kept[key] = torch._inductor.compile(graph, list(inputs), options=OPTIONS)
    return _kept[key]


@contextmanager
def _unsaid(name: str) -> Iterator[None]:
    """Silence a logger."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def nothing(*_: Tensor) -> Sequence[Tensor]:
    """Return no tensors: a graph without work."""
    return ()


def parted(graph: fx.GraphModule, late: int) -> tuple[fx.GraphModule | None, fx.GraphModule]:
    """Return the part of a graph that does not depend on its input number ``late``, and the rest.

    The rest takes all inputs, and after them what the first part gives.
    """
    inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    early = {node: node for node in inputs}
    del early[inputs[late]]
    inner = [node for node in graph.graph.nodes if node.op == "call_function"]
    for node in inner:
        if all(used in early for used in node.all_input_nodes):
            early[node] = node
    rest = [node for node in inner if node not in early]
    wanted = dict.fromkeys(n for node in (*rest, output) for n in node.all_input_nodes)
    between = [node for node in wanted if node in early and node.op != "placeholder"]
    before = [node for node in inner if node in early]
    first = _graph(inputs, before, tuple(between)) if between else None
    return first, _graph([*inputs, *between], rest, output.args[0])


def _graph(inputs: Sequence[fx.Node], inner: Sequence[fx.Node], output: Any) -> fx.GraphModule:
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in inputs:
        copies[node] = graph.placeholder(node.name)
    for node in inner:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(fx.map_arg(output, copies.__getitem__))
    graph.eliminate_dead_code()
    return fx.GraphModule({}, graph)
