"""What is told of a problem before it is run: the memory that a method needs."""

import pytest
import torch
from cases import lazy_ring, quadratic
from torch import nn

from dsbo import DIAMOND, DSOBA, SPARKLE, Dense, Problem, run
from dsbo.memory import measured, peak

METHODS = {
    "D-SOBA": DSOBA(0.01, 0.01, 0.01, 0.5),
    "DIAMOND": DIAMOND(0.01, 0.01, 0.5, 0.5, K=3, L=1e4),
    "SPARKLE": SPARKLE(0.01, 0.01, 0.01, 0.5),
}


def linear(N, p, rows=4, batch=None):
    """Each agent fits a matrix of p numbers."""
    g = torch.Generator().manual_seed(0)
    data = [torch.rand(rows, 10, generator=g) for _ in range(N)]

    def fit(y, a):
        return torch.tanh(a @ y.view(10, -1)).square().mean()

    return Problem.from_losses(
        lambda x, y, a: fit(y, a) + x.square().sum(),
        lambda x, y, a: fit(y, a) + x.exp().sum() * y.square().sum(),
        torch.zeros(3), torch.zeros(p), data, data, batch=batch,
    )  # fmt: skip


def perceptron(N, p, lengths=(8,)):
    """Each agent fits a network of about p numbers to its own number of rows."""
    g = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, p // 31), nn.Tanh(), nn.Linear(p // 31, 10))
    rows = [lengths[i % len(lengths)] for i in range(N)]
    data = [(torch.rand(m, 20, generator=g), torch.randint(10, (m,), generator=g)) for m in rows]

    def fit(x, y, b):
        out = torch.func.functional_call(net, y, (b[0],))
        ridge = sum(part.square().sum() for part in y.values())
        return nn.functional.cross_entropy(out, b[1]) + x.exp().sum() * ridge

    return Problem.from_losses(fit, fit, torch.zeros(1), net, data, data)


def of_run(method, problem, chunk=None, steps=2):
    network = Dense(lazy_ring(problem.agents))
    return peak(lambda: run(method, problem, network, steps, every=steps, chunk=chunk))


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
@pytest.mark.parametrize(
    ("problem", "N", "p", "chunk"),
    [
        (linear, 8, 10_000, None),
        (linear, 64, 10_000, None),
        (linear, 8, 100_000, None),
        (perceptron, 8, 10_000, None),
        (linear, 8, 10_000, 3),
        (linear, 15, 1_000, 1),
    ],
)
def test_memory_is_told_before_a_run(method, problem, N, p, chunk):
    made = problem(N, p)
    assert made.memory(method, chunk) == pytest.approx(of_run(method, made, chunk), rel=0.1)


def test_memory_is_told_of_what_losses_make_on_their_way():
    wide = linear(6, 1_000, rows=1_000)
    told = wide.memory(METHODS["D-SOBA"])
    assert told == pytest.approx(of_run(METHODS["D-SOBA"], wide), rel=0.05)
    assert told > 20 * linear(6, 1_000).memory(METHODS["D-SOBA"])


def test_memory_is_told_of_random_numbers_drawn_for_many_iterations():
    drawing = linear(5, 40, rows=9, batch=500)
    told, few = drawing.memory(METHODS["D-SOBA"]), linear(5, 40, rows=9, batch=5)
    assert told == pytest.approx(of_run(METHODS["D-SOBA"], drawing, steps=130), rel=0.2)
    assert told > 20 * few.memory(METHODS["D-SOBA"])


def test_memory_is_told_of_agents_with_different_numbers_of_rows():
    uneven = perceptron(20, 300, lengths=(10, 400, 50))
    told = uneven.memory(METHODS["SPARKLE"])
    assert told == pytest.approx(of_run(METHODS["SPARKLE"], uneven), rel=0.2)


def test_what_all_agents_hold_is_what_a_run_holds():
    _, problem = quadratic(N=6, d=20, p=30)
    method = METHODS["SPARKLE"]
    assert measured(method, problem) == pytest.approx(of_run(method, problem), rel=0.1)
    assert problem.memory(method) == pytest.approx(of_run(method, problem), rel=0.1)


def test_a_peak_counts_what_lives_at_once():
    def work():
        a = torch.zeros(1000)
        b = a[:10].clone()
        del a
        return torch.zeros(500), b

    assert peak(work) == 4 * 1010
    held = torch.zeros(1000)
    assert peak(lambda: held.add_(1)[5:]) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((DSOBA,), TypeError, r"algorithm must be made as in DSOBA\(0.1, 0.1, 0.1\), got <class"),
        (("DSOBA",), TypeError, "got 'DSOBA'"),
        ((METHODS["D-SOBA"], 0), ValueError, "chunk must be at least 1, got 0"),
    ],
)
def test_of_what_is_no_method_no_memory_is_told(arguments, error, says):
    with pytest.raises(error, match=says):
        linear(2, 10).memory(*arguments)
