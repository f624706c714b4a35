"""What a run knows of its losses: whatever changes their numbers is told, and nothing else."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import lazy_ring
from torch import nn

from dsbo import DSOBA, CheckpointError, Dense, Problem, run
from dsbo.problems.named import told

WEIGHT = 0.1
TENSOR = torch.tensor([0.1])


def scaled(y, weight):
    return weight * y.square().sum()


def by_closure(weight):
    def loss(x, y, a):
        return (y - a).square().mean() + scaled(y, weight) + x.sum() ** 2

    return loss


def by_default(weight):
    def loss(x, y, a, weight=weight):
        return (y - a).square().mean() + scaled(y, weight) + x.sum() ** 2

    return loss


def by_keyword(weight):
    def loss(x, y, a, *, weight=weight):
        return (y - a).square().mean() + scaled(y, weight) + x.sum() ** 2

    return loss


def by_partial(weight):
    def loss(x, y, a, weight):
        return (y - a).square().mean() + scaled(y, weight) + x.sum() ** 2

    return partial(loss, weight=weight)


class Loss:
    def __init__(self, weight):
        self.weight = weight

    def __call__(self, x, y, a):
        return (y - a).square().mean() + scaled(y, self.weight) + x.sum() ** 2

    def method(self, x, y, a):
        return self(x, y, a)


def by_method(weight):
    return Loss(weight).method


def by_helper(weight):
    def helper(y):
        return scaled(y, weight)

    def loss(x, y, a):
        return (y - a).square().mean() + helper(y) + x.sum() ** 2

    return loss


def by_list(weight):
    weights = {"of y": [weight]}

    def loss(x, y, a):
        return (y - a).square().mean() + scaled(y, weights["of y"][0]) + x.sum() ** 2

    return loss


def by_module(weight):
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, float(torch.as_tensor(weight)))
    return lambda x, y, a: (y - a).square().mean() + scaled(y, module.weight[0]) + x.sum() ** 2


WAYS = (by_closure, by_default, by_keyword, by_partial, Loss, by_method, by_helper, by_list)
FORMS = (float, np.float32, torch.tensor, lambda v: np.array([v]), lambda v: torch.full((1,), v))


@pytest.mark.parametrize("way", [*WAYS, by_module])
@pytest.mark.parametrize("form", FORMS)
def test_a_number_that_a_loss_holds_is_told(way, form):
    one, again, other = (told(way(form(value))) for value in (0.1, 0.1, 0.2))
    assert one == again != other
    assert " at 0x" not in one


def test_a_number_of_the_file_is_told(monkeypatch):
    def number(x, y, a):
        return (y - a).square().mean() * WEIGHT + x.sum()

    def tensor(x, y, a):
        def inner():
            return TENSOR.sum()

        return (y - a).square().mean() * inner() + x.sum()

    before = told(number), told(tensor)
    monkeypatch.setitem(globals(), "WEIGHT", 0.2)
    monkeypatch.setitem(globals(), "TENSOR", torch.tensor([0.2]))
    assert told(number) != before[0]
    assert told(tensor) != before[1]


@pytest.mark.parametrize("way", WAYS)
def test_a_run_with_another_number_is_not_gone_on_with(tmp_path, way):
    def problem(weight):
        data = [torch.ones(2, 1)] * 2
        return Problem.from_losses(
            way(weight), way(weight), torch.zeros(1), torch.zeros(1), data, data
        )

    method, network = DSOBA(0.1, 0.1, 0.1), Dense(lazy_ring(2))
    run(method, problem(0.1), network, 4, every=2, checkpoint=tmp_path)
    assert len(
        run(method, problem(0.1), network, 8, every=2, checkpoint=tmp_path, resume=True).rows
    )
    with pytest.raises(CheckpointError, match="belongs to another run: problem was"):
        run(method, problem(9.0), network, 8, every=2, checkpoint=tmp_path, resume=True)


def test_names_and_shapes_belong_to_a_problem():
    def loss(x, y, b):
        return (b["a"] * y.sum() - b["c"]).square().mean() + x.square().sum()

    def problem(first, shape):
        rows = torch.arange(3.0), torch.ones(3)
        shard = dict(zip(first, rows, strict=True))
        start = torch.zeros(shape)
        return Problem.from_losses(loss, loss, torch.zeros(1), start, [shard], [shard]).settings

    assert problem("ac", (2, 3)) == problem("ac", (2, 3))
    assert problem("ac", (2, 3)) != problem("ca", (2, 3))
    assert problem("ac", (2, 3)) != problem("ac", (3, 2))


def test_what_a_loss_does_not_use_is_not_told(monkeypatch):
    def loss(x, y, a):
        return (y - a).square().mean() * a.size(0) + x.sum()

    before = told(loss)
    monkeypatch.setitem(globals(), "size", 6)
    monkeypatch.setitem(globals(), "WEIGHT", 0.2)
    assert told(loss) == before


def test_another_process_tells_the_same():
    here = [told(way(np.float32(0.1))) for way in (*WAYS, by_module)]
    code = (
        "import test_names as t, numpy as np\n"
        "print(*(t.told(w(np.float32(0.1))) for w in (*t.WAYS, t.by_module)), sep='\\n')"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert there.stdout.splitlines() == here
