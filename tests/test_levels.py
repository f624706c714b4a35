"""Levels: derivatives against finite differences and closed forms."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from cases import quadratic
from torch.func import jacrev

from dsbo import FirstOrder, SecondOrder, traced
from dsbo.chunked import Chunked
from dsbo.compiled import Compiled
from dsbo.layout import flatten
from dsbo.world import Draws

torch.manual_seed(0)
N, B = 3, 5
ZERO = torch.zeros((), dtype=torch.float64)
X0 = {"log_ridge": ZERO.repeat(2), "shift": ZERO}
Y0 = {"W": ZERO.repeat(2, 3), "b": ZERO.repeat(3)}


def loss(x, y, batch):
    a, c = batch
    fit = torch.nn.functional.cross_entropy(a @ y["W"] + y["b"] + x["shift"] * a[:, :1], c)
    ridge = (x["log_ridge"].exp()[:, None] * y["W"] ** 2).sum()
    return fit + ridge + torch.sin(x["shift"]) * y["b"].sum()


@pytest.fixture
def setting():
    (x, x_layout), (y, y_layout) = flatten(X0, "x"), flatten(Y0, "y")
    g = torch.Generator().manual_seed(1)

    def randn(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=g)

    batch = randn(N, B, 2), torch.randint(3, (N, B), generator=g)
    level = SecondOrder(loss, x_layout, y_layout, "lower")
    return level, randn(N, len(x)), randn(N, len(y)), batch, randn(N, len(y))


def same(level, other, *point):
    """Whether two levels have the same value and derivatives."""
    *without, _ = point
    torch.testing.assert_close(level.value(*without), other.value(*without))
    torch.testing.assert_close(level.grad(*without), other.grad(*without))
    for product in ("grad_hess", "jac", "hess"):
        got, want = (getattr(one, product)(*point) for one in (level, other))
        torch.testing.assert_close(got, want)


def one_agent(level, i, batch):
    part = tuple(b[i] for b in batch)
    return lambda x, y: level.loss(level.x_layout.split(x), level.y_layout.split(y), part)


def test_gradients_and_products_equal_dense_derivatives(setting):
    level, x, y, batch, v = setting
    g1, g2, jv, hv = level.grad_hess(x, y, batch, v)
    a1, a2 = level.grad(x, y, batch)
    torch.testing.assert_close((a1, a2), (g1, g2), rtol=0, atol=1e-15)
    for i in range(N):
        f = one_agent(level, i, batch)
        d1, d2 = jacrev(f, (0, 1))(x[i], y[i])
        H12 = jacrev(jacrev(f, 1), 0)(x[i], y[i])
        H22 = jacrev(jacrev(f, 1), 1)(x[i], y[i])
        dense = (d1, d2, H12.T @ v[i], H22 @ v[i])
        torch.testing.assert_close((g1[i], g2[i], jv[i], hv[i]), dense, rtol=0, atol=1e-13)


def test_a_ridge_is_the_loss_plus_its_square(setting):
    level, x, y, batch, v = setting
    ridged = SecondOrder(level.loss, level.x_layout, level.y_layout, "lower", ridge=0.7)

    def squared(x, y, batch):
        return loss(x, y, batch) + 0.7 * sum((part**2).sum() for part in y.values())

    typed = SecondOrder(squared, level.x_layout, level.y_layout, "lower")
    same(ridged, typed, x, y, batch, v)


def test_first_order_errors_fall_like_delta_and_delta_squared(setting):
    level, x, y, batch, v = setting
    _, _, jv, hv = level.grad_hess(x, y, batch, v)
    for central, power in ((False, 1), (True, 2)):
        errors = []
        for delta in (1e-2, 1e-3):
            _, _, ja, ha = FirstOrder(level, delta, central).grad_hess(x, y, batch, v)
            errors.append(float((ja - jv).norm() + (ha - hv).norm()))
        assert torch.log10(torch.tensor(errors[0] / errors[1])) == pytest.approx(power, abs=0.05)


def test_the_default_delta_is_good_in_both_precisions(setting):
    level, x, y, (a, c), v = setting
    for dtype, tol in ((torch.float64, 1e-6), (torch.float32, 1e-2)):
        args = x.to(dtype), y.to(dtype), (a.to(dtype), c)
        want = level.grad_hess(*args, v.to(dtype))
        for central in (False, True):
            got = FirstOrder(level, central=central).grad_hess(*args, v.to(dtype))
            for part, exact in zip(got[2:], want[2:], strict=True):
                assert float((part - exact).norm() / exact.norm()) < tol


def test_first_order_products_with_zero_are_zero(setting):
    level, x, y, batch, v = setting
    _, _, jv, hv = FirstOrder(level).grad_hess(x, y, batch, 0 * v)
    assert not jv.any()
    assert not hv.any()


def test_one_product_alone_is_that_of_the_pair(setting):
    level, *point = setting
    for one in (level, FirstOrder(level), FirstOrder(level, central=True)):
        *_, jv, hv = one.grad_hess(*point)
        torch.testing.assert_close((one.jac(*point), one.hess(*point)), (jv, hv))


@pytest.mark.parametrize("kind", ["autograd", "compiled", "chunked", "differences", "no batch"])
def test_a_point_answers_as_the_level_does_and_many_vectors_at_once(setting, kind, monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, *_, **__: graph)
    level, x, y, batch, v = setting
    if kind == "no batch":
        data = batch[0][0], batch[1][0]
        level, batch = replace(level, loss=lambda x, y, _: loss(x, y, data)), None
    calls = Counter()
    one = {
        "compiled": Compiled(level),
        "chunked": Chunked.of(level, 2),
        "differences": FirstOrder(level),
    }.get(kind, Compiled(level) if kind == "no batch" else level)
    point = one.counted(calls).at(x, y, batch)
    want = one.grad_hess(x, y, batch, v)
    for _ in range(2):
        got = *point.grad(), *point.both(v)
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)
    other = point.both(v.flip(0))
    torch.testing.assert_close(other, one.at(x, y, batch).both(v.flip(0)), rtol=0, atol=1e-12)
    vectors = torch.stack([v, 2 * v, v.flip(0)])
    pairs = [one.at(x, y, batch).both(each) for each in vectors]
    jv, hv = (torch.stack(column) for column in zip(*pairs, strict=True))
    torch.testing.assert_close(point.both(vectors), (jv, hv), rtol=0, atol=1e-12)
    torch.testing.assert_close(point.jac(vectors), jv, rtol=0, atol=1e-12)
    torch.testing.assert_close(point.hess(vectors), hv, rtol=0, atol=1e-12)
    if kind == "differences":  # one at the point and one a vector
        assert calls == {"lower_grads": 1 + 3 + 9}
    else:
        assert calls == {"lower_grads": 2, "jvps": 3 + 6, "hvps": 3 + 6}


def test_what_a_loss_does_not_depend_on_has_zero_derivatives(setting):
    level, x, y, batch, v = setting

    def constant(_, __, batch):
        return batch[0].sum()

    def linear(x, y, _):
        return x["shift"] + y["b"].sum()

    for lost in (constant, linear):
        flat = replace(level, loss=lost)
        *_, jv, hv = flat.grad_hess(x, y, batch, v)
        assert jv.shape == x.shape
        assert not jv.any()
        assert not hv.any()
        assert flat.at(x, y, batch).hess(torch.stack([v, v])).shape == (2, *v.shape)
    assert not replace(level, loss=constant).grad(x, y, batch)[1].any()


def test_calls_are_counted_by_kind(setting):
    level, x, y, batch, v = setting
    calls = Counter()
    level.counted(calls).grad(x, y, batch)
    level.counted(calls).grad_hess(x, y, batch, v)
    level.counted(calls).jac(x, y, batch, v)
    level.counted(calls).hess(x, y, batch, v)
    assert calls == {"lower_grads": 2, "jvps": 2, "hvps": 2}
    calls.clear()
    for central in (False, True):
        FirstOrder(level, central=central).counted(calls).grad_hess(x, y, batch, v)
    assert calls == {"lower_grads": 5}


@pytest.mark.parametrize("delta", [0.0, -1.0, float("nan")])
def test_a_delta_that_is_no_length_is_refused(setting, delta):
    with pytest.raises(ValueError, match=r"delta must be (positive|finite)"):
        FirstOrder(setting[0], delta)


def test_the_closed_form_of_quadratics_equals_automatic_differentiation():
    _, problem = quadratic(noise=0.3)

    def typed(x, y, batch):
        P, Q, R, p, r, e_x, e_y = batch
        curved = 0.5 * x @ (P @ x) + x @ (Q @ y) + 0.5 * y @ (R @ y)
        return curved + (p + e_x) @ x + (r + e_y) @ y

    (_, x_layout), (_, y_layout) = flatten(problem.x0, "x"), flatten(problem.y0, "y")
    auto = SecondOrder(typed, x_layout, y_layout, "upper")
    g = torch.Generator().manual_seed(0)
    x = torch.randn(5, 3, dtype=torch.float64, generator=g)
    y, v = torch.randn(2, 5, 4, dtype=torch.float64, generator=g)
    batch = Draws(0, problem.everyone(), problem.upper, problem.lower).xi(0)
    same(problem.f, auto, x, y, batch, v)


def test_what_cannot_be_compiled_runs_without(setting, monkeypatch):
    level, x, y, batch, v = setting

    def missing(*_, **__):
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch._inductor, "compile", missing)
    monkeypatch.setattr(traced, "_kept", {})
    calls = Counter()
    with pytest.warns(UserWarning, match=r"not compiled: No working .* The run goes on without"):
        got = Compiled(level, calls).grad_hess(x, y, batch, v)
    torch.testing.assert_close(got, level.grad_hess(x, y, batch, v))
    assert calls == {"lower_grads": 1, "jvps": 1, "hvps": 1}
