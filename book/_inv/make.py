"""Write the inventories that the book's references are resolved with, offline.

Each line of ``NAMES`` is a page of a project's documentation and the names that are explained
there. Run ``python book/_inv/make.py`` after a change and commit the ``.inv`` files.
"""

from __future__ import annotations

import zlib
from pathlib import Path

NAMES: dict[str, list[tuple[str, str, str]]] = {
    "python": [
        ("py:class", "library/functions.html", "bool float int object property"),
        ("py:class", "library/stdtypes.html", "bytes dict frozenset list set str tuple"),
        ("py:data", "library/constants.html", "None"),
        ("py:class", "library/dataclasses.html", "dataclasses.dataclass"),
        ("py:class", "library/pathlib.html", "pathlib.Path"),
        ("py:class", "library/typing.html", "typing.NamedTuple typing.Protocol"),
        ("py:data", "library/typing.html", "typing.Any typing.ClassVar typing.Literal"),
        ("py:class", "library/collections.html", "collections.Counter"),
        (
            "py:class",
            "library/collections.abc.html",
            "collections.abc.Callable collections.abc.Iterable collections.abc.Iterator "
            "collections.abc.Mapping collections.abc.Sequence",
        ),
        (
            "py:exc",
            "library/exceptions.html",
            "AssertionError AttributeError FileNotFoundError KeyError NotImplementedError "
            "OSError RuntimeError TypeError UserWarning ValueError",
        ),
    ],
    "torch": [
        ("py:class", "tensors.html", "torch.Tensor"),
        ("py:class", "tensor_attributes.html", "torch.device torch.dtype"),
        ("py:class", "generated/torch.Generator.html", "torch.Generator"),
        ("py:class", "generated/torch.nn.Module.html", "torch.nn.Module"),
        ("py:module", "distributed.html", "torch.distributed"),
        ("py:function", "generated/torch.func.vmap.html", "torch.func.vmap"),
        ("py:function", "generated/torch.func.vjp.html", "torch.func.vjp"),
    ],
    "numpy": [
        ("py:class", "reference/generated/numpy.ndarray.html", "numpy.ndarray"),
        ("py:class", "reference/random/generator.html", "numpy.random.Generator"),
    ],
    "pandas": [
        ("py:class", "reference/api/pandas.DataFrame.html", "pandas.DataFrame"),
        ("py:class", "reference/api/pandas.Series.html", "pandas.Series"),
    ],
    "networkx": [
        ("py:class", "reference/classes/graph.html", "networkx.Graph"),
        ("py:class", "reference/classes/digraph.html", "networkx.DiGraph"),
    ],
    "sympy": [
        ("py:class", "modules/core.html", "sympy.core.expr.Expr sympy.core.symbol.Symbol"),
        ("py:class", "modules/matrices/dense.html", "sympy.matrices.dense.MutableDenseMatrix"),
    ],
    "matplotlib": [
        ("py:class", "api/_as_gen/matplotlib.axes.Axes.html", "matplotlib.axes.Axes"),
        ("py:class", "api/figure_api.html", "matplotlib.figure.Figure"),
    ],
}


def inventory(project: str) -> bytes:
    """Encode one project as a Sphinx inventory of version 2."""
    head = (
        f"# Sphinx inventory version 2\n# Project: {project}\n# Version:\n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    rows = [
        f"{name} {role} 1 {page}#{'module-' if role == 'py:module' else ''}$ -\n"
        for role, page, names in NAMES[project]
        for name in names.split()
    ]
    return head.encode() + zlib.compress("".join(rows).encode(), 9)


if __name__ == "__main__":
    for project in NAMES:
        Path(__file__).with_name(f"{project}.inv").write_bytes(inventory(project))
