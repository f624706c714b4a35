"""What is told of a problem before it is run: its hypergradient, its faults, and the memory."""

import random
import re
from dataclasses import replace

import pytest
import torch
from cases import lazy_ring, quadratic
from torch import nn

from dsbo import DIAMOND, DSOBA, SPARKLE, Dense, Problem, run
from dsbo.descent import minimise
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


def perceptron(N, p, lengths=(8,), start=0.0, dtype=torch.float32):
    """Each agent fits a network of about p numbers to its own number of rows."""
    g = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, p // 31), nn.Tanh(), nn.Linear(p // 31, 10)).to(dtype)
    rows = [lengths[i % len(lengths)] for i in range(N)]
    images = [torch.rand(m, 20, generator=g).to(dtype) for m in rows]
    data = [(a, torch.randint(10, (len(a),), generator=g)) for a in images]

    def fit(x, y, b):
        out = torch.func.functional_call(net, y, (b[0],))
        ridge = sum(part.square().sum() for part in y.values())
        return nn.functional.cross_entropy(out, b[1]) + x.exp().sum() * ridge

    return Problem.from_losses(fit, fit, torch.full((1,), start).to(dtype), net, data, data)


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
    ],
)
def test_memory_is_told_before_a_run(method, problem, N, p, chunk):
    made = problem(N, p)
    assert made.memory(method, chunk) == pytest.approx(of_run(method, made, chunk), rel=0.1)


def test_memory_of_many_chunks_is_told_by_a_few_of_them():
    many, method = linear(15, 100, rows=30), METHODS["D-SOBA"]
    assert many.memory(method, 1) == pytest.approx(of_run(method, many, 1), rel=0.1)


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


X = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)


@pytest.mark.parametrize("shared", [True, False])
def test_all_ways_find_the_hypergradient_of_a_quadratic(shared):
    _, problem = quadratic()
    report = problem.check(X, shared=shared, progress=False)
    want, (y, _) = problem.hypergradient(X, shared), problem.lower_solution(X, shared)
    torch.testing.assert_close(report.y, y, rtol=0, atol=1e-10)
    ways = report.ways
    torch.testing.assert_close(ways.cg, want, rtol=0, atol=1e-10)
    torch.testing.assert_close(ways.unrolled, want, rtol=0, atol=1e-10)
    torch.testing.assert_close(ways.differences, ways.directions @ want, rtol=1e-6, atol=1e-8)
    A = problem.coefficients(shared)["A"]
    values = torch.linalg.eigvalsh(A)
    assert (report.low, report.high) == pytest.approx((float(values.min()), float(values.max())))
    assert report.condition == pytest.approx(report.high / report.low)
    assert report.verdict == ""
    assert "all three ways agree" in str(report)


def fit(y, b):
    return (b[0] @ y - b[1]).square().mean()


def penalised(x, y, b):
    return fit(y, b) + x.exp() @ y.square()


def validated(x, y, b):
    return fit(y, b) + x.square().sum()


def made(lower=penalised, upper=validated, dtype=torch.float64, lengths=(6, 6, 6), **kwargs):
    g = torch.Generator().manual_seed(1)
    rows = [torch.randn(m, 3, generator=g).to(dtype) for m in lengths]
    data = [(a[:, :2], a[:, 2]) for a in rows]
    x0, y0 = torch.full((2,), 0.5, dtype=dtype), torch.zeros(2, dtype=dtype)
    return Problem.from_losses(
        upper, lower, **{"x0": x0, "y0": y0} | kwargs, upper_data=data, lower_data=data[::-1]
    )


def of_dict(x, y, b):
    return penalised(x["x"], y, b)


FORMS = {
    "tensors": lambda: made(),
    "dict": lambda: made(of_dict, of_dict, x0={"x": torch.zeros(2).double()}),
    "module": lambda: perceptron(3, 31, start=-1.0, dtype=torch.float64),
    "uneven": lambda: made(lengths=(3, 8, 1)),
    "float32": lambda: made(dtype=torch.float32),
    "differences": lambda: made().first_order(central=True),
}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_sound_problems_of_all_forms_pass(form, shared):
    problem = FORMS[form]()
    report = problem.check(shared=shared, progress=False)
    assert report.verdict == "", report
    assert report.y.shape == ((problem.p,) if shared else (3, problem.p))
    assert min(report.seconds.values()) > 0
    assert report.estimated == pytest.approx(report.measured, rel=0.3)


def test_the_memory_that_is_told_is_that_of_the_method():
    plain, more = (made().check(algorithm=method) for method in (None, METHODS["SPARKLE"]))
    assert more.measured > plain.measured
    assert more.estimated == made().memory(METHODS["SPARKLE"])


def hidden(x, y, b):
    return fit(y, b) + torch.stack([x[0].detach(), x[1]]).exp() @ y.square()


def drawing(x, y, b):
    return (1 + 0.01 * random.random()) * fit(y, b) + x.exp() @ y.square()


def bent(x, y, b):
    return (y - x).square().sum() + 3 * y.relu().square().sum() + 0 * b[0].sum()


def broken(x, y, b):
    return (y - 2 * x).square().sum() / 2 + (y - x).abs().sum() + 0 * b[0].sum()


def lifted(x, y, b):
    return validated(x, y, b) + 1e6


FAULTS = {
    "saddle": (lambda _, y, b: fit(y, b) - 2 * y.square().sum(), {}, r"not strongly.*ridge=\d"),
    "flat": (lambda x, y, b: (y.sum() - x.sum() + b[1].sum()) ** 2, {}, "add a ridge"),
    "hidden": (
        hidden,
        {},
        r"lower loss changes along x by -\S+, its gradient says .* leave detach",
    ),
    "drawing": (drawing, {}, "one evaluation to the next.*put them into the data"),
    "bent": (bent, {"x0": torch.zeros(2).double()}, "not twice differentiable.*softplus"),
    "broken": (broken, {}, r"not solved: after 200 steps .*more steps=.*kink"),
    "coarse": (
        penalised,
        {"upper": lifted, "dtype": torch.float32},
        r"float32 is too coarse.*\.double\(\)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_told_with_the_remedy(fault):
    lower, kwargs, says = FAULTS[fault]
    report = made(lower, **kwargs).check(steps=200, progress=False)
    assert re.search(says, report.verdict), report
    assert report.verdict in str(report)


def test_a_check_is_the_same_whatever_new_tensors_are_by_default():
    _, problem = quadratic()
    want = problem.check(X, progress=False)
    with torch.device("meta"):
        got = problem.check(X, progress=False)
    assert torch.equal(got.ways.cg, want.ways.cg)
    assert torch.equal(got.ways.differences, want.ways.differences)
    assert got.measured == want.measured


def test_products_that_are_not_derivatives_are_told():
    problem = made().first_order(delta=0.3)
    problem = replace(problem, g=replace(problem.g, level=made(curved).g))
    report = problem.check(progress=False)
    assert "products of the lower level are not the derivatives" in report.verdict, report


def curved(x, y, b):
    return penalised(x, y, b) + (1 + y).square().square().sum()


def test_too_few_products_are_told():
    _, problem = quadratic(N=2, p=30)
    report = problem.check(X, products=3, progress=False)
    assert re.search("stopped after 3 steps .*products= says how many", report.verdict), report


def test_a_descent_needs_few_steps_where_curvatures_differ():
    _, problem = quadratic(N=1, p=3)
    P, Q, _, p, r, *noise = problem.lower.full(problem.everyone())
    stretched = P, Q, torch.diag(torch.tensor([1e4, 1e2, 1.0]).double())[None], p, r, *noise
    x, y = torch.zeros(1, 3).double(), torch.full((1, 3), 10.0).double()
    end = minimise(problem.g, x, y, stretched, None, 2000)
    assert end.solved


def test_a_descent_finds_steeper_places_and_stops_at_its_budget():
    quartic = made(lambda x, y, b: (y - x).square().square().sum() + y.square().sum() + 0 * b[1][0])
    zeta, x = quartic.lower.full(quartic.everyone()), quartic.x0.expand(3, -1)
    end = minimise(quartic.g, x, torch.full_like(x, 20.0), zeta, None, 1000)
    assert end.solved
    assert end.steps < 200
    early = minimise(quartic.g, x, torch.full_like(x, 20.0), zeta, None, 3)
    assert not early.solved
    assert early.steps == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"x": torch.zeros(3)}, r"x must be a row of 2 numbers, as x0 is, got \[3\]"),
        ({"y": torch.tensor([0.0, torch.inf])}, "y holds NaN or infinity"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"directions": -1}, "directions must be at least 1, got -1"),
    ],
)
def test_a_check_refuses_what_it_cannot_use(arguments, says):
    with pytest.raises(ValueError, match=says):
        made().check(**arguments)
