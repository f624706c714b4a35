"""A run holds as much memory at its end as near its start, whatever its losses are made of."""

import gc
import os
from pathlib import Path

import pytest
import torch
from cases import lazy_ring
from torch import nn
from torch.func import functional_call

from dsbo import DSOBA, Dense, Problem, run

N, ROWS = 3, 6
SLACK = 4 * 2**20
"""Bytes by which a process may grow whose heap is in use."""


class Recurrent(nn.Module):
    """A GRU by its cell."""

    def __init__(self):
        super().__init__()
        self.cell, self.last = nn.GRUCell(4, 5), nn.Linear(5, 1)

    def forward(self, a):
        state = a.new_zeros(len(a), 5)
        for t in range(a.shape[1] // 4):
            state = self.cell(a[:, 4 * t : 4 * t + 4], state)
        return self.last(state)


class Cube(torch.autograd.Function):
    """A function with a derivative of its own, which may be mapped over agents."""

    generate_vmap_rule = True

    @staticmethod
    def forward(a):
        return a**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx, upstream):
        return 3 * ctx.saved_tensors[0] ** 2 * upstream


class Cubed(nn.Linear):
    def forward(self, a):
        return Cube.apply(super().forward(a))


class Behind(nn.Linear):
    """A last layer behind layers that are not trained but would have a gradient."""

    def forward(self, a):
        return super().forward(BACKBONE(a).tanh())


def frozen():
    net = nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1))
    net[0].requires_grad_(False)
    return net


torch.manual_seed(0)
BACKBONE = nn.Linear(16, 8)
KINDS = {
    "linear": lambda: nn.Linear(16, 1),
    "perceptron": lambda: nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1)),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 1)
    ),
    "transformer": lambda: nn.Sequential(
        nn.Unflatten(1, (4, 4)),
        nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True),
        nn.Flatten(),
        nn.Linear(16, 1),
    ),
    "recurrent": Recurrent,
    "layer norm": lambda: nn.Sequential(nn.Linear(16, 8), nn.LayerNorm(8), nn.Linear(8, 1)),
    "batch norm at rest": lambda: nn.Sequential(nn.BatchNorm1d(16), nn.Linear(16, 1)).eval(),
    "frozen layers": frozen,
    "behind a backbone": lambda: Behind(8, 1),
    "own derivative": lambda: Cubed(16, 1),
    "low precision": lambda: nn.Linear(16, 1).bfloat16(),
}
SETTINGS = {
    "plain": {},
    "all data": {},
    "compiled": {"compile": True},
    "chunks": {"chunk": 1},
    "differences": {},
    "other lengths": {},
}
CASES = [(kind, "plain") for kind in KINDS] + [("perceptron", how) for how in list(SETTINGS)[2:]]


def problem(kind, how):
    module = KINDS[kind]()
    kept = next(module.parameters()).dtype
    rows = [ROWS + i * (how == "other lengths") for i in range(N)]
    shards = [torch.randn(m, 16, dtype=kept) for m in rows]

    def fit(y, a):
        return (functional_call(module, y, (a,)) - 1).square().mean()

    made = Problem.from_losses(
        lambda x, y, a: fit(y, a) + x.square().sum(),
        lambda x, y, a: fit(y, a) * x.exp().sum(),
        torch.zeros(1, dtype=kept), module, shards, shards, ridge=0.1,
        batch=4 if how == "plain" else None,
    )  # fmt: skip
    return made.first_order() if how == "differences" else made


def held():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    alive = sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())
    return {"tensors": alive, "bytes": pages * os.sysconf("SC_PAGE_SIZE")}


def followed(kind, how, steps):
    """What is held after a quarter of a run, and at its end."""
    quarter = steps // 4
    trace = run(
        DSOBA(0.01, 0.01, 0.01), problem(kind, how), Dense(lazy_ring(N)), steps, every=quarter,
        measure=lambda *_: held(), progress=False, **SETTINGS[how],
    )  # fmt: skip
    assert not any(part.requires_grad for part in trace.state)
    return trace.rows[1], trace.rows[-1]


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.parametrize("kind", ["behind a backbone"])
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_no_tensor_is_left_of_an_iteration(kind):
    early, late = followed(kind, "all data", steps=24)
    assert late["tensors"] == early["tensors"]


@needs_proc
@pytest.mark.fuzz
@pytest.mark.parametrize(("kind", "how"), CASES)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")
def test_memory_is_flat_over_two_thousand_steps(kind, how, record_property):
    early, late = followed(kind, how, steps=2000)
    record_property("grew by bytes", late["bytes"] - early["bytes"])
    assert late["tensors"] <= early["tensors"]
    assert late["bytes"] - early["bytes"] < SLACK
