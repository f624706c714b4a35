import numpy as np
import pytest
import sympy as sp

from dsbo import graphs, mixing
from dsbo_book.symbolic import at_random, circulant_eigenvalue, is_nonzero, is_zero

x, y = sp.symbols("x y")
N, k = sp.symbols("N k", integer=True, positive=True)
t = sp.Symbol("t", positive=True)

ZERO = [
    (x + 1) ** 2 - x**2 - 2 * x - 1,
    sp.sin(3 * x) - 3 * sp.sin(x) + 4 * sp.sin(x) ** 3,
    sp.cos(x + y) - sp.cos(x) * sp.cos(y) + sp.sin(x) * sp.sin(y),
    sp.exp(sp.I * x) - sp.cos(x) - sp.I * sp.sin(x),
    sp.exp(2 * sp.pi * sp.I * k) - 1,
    sp.sqrt(5 + 2 * sp.sqrt(6)) - sp.sqrt(2) - sp.sqrt(3),
    sp.log(t**2) - 2 * sp.log(t),
    sp.Matrix([[1, x], [0, 1]]) ** -1 - sp.Matrix([[1, -x], [0, 1]]),
    sp.ZeroMatrix(2, 2),
    sp.Function("f")(x) - sp.Function("f")(x),
    sp.Integer(0),
    0,
]
NOT_ZERO = [
    x,
    sp.Float(1e-3),
    sp.exp(-100),
    sp.pi - sp.Rational(314159265358979323846264338327950288419, 10**38),
    sp.sqrt(x**2) - x,
    sp.cos(x) - 1 + x**2 / 2,
    sp.Matrix([0, x]),
    sp.MatrixSymbol("A", 2, 2),
    sp.Function("f")(x),
    sp.nan,
    sp.zoo,
]


@pytest.mark.parametrize("expr", ZERO, ids=str)
def test_what_vanishes_is_seen_to(expr):
    assert is_zero(expr)


@pytest.mark.parametrize("expr", NOT_ZERO, ids=str)
def test_what_does_not_vanish_is_not_said_to(expr):
    assert not is_zero(expr)


@pytest.mark.parametrize("expr", [*ZERO, sp.nan, sp.oo, sp.zoo, sp.Function("f")(x)], ids=str)
def test_what_vanishes_or_has_no_number_is_not_said_to_differ_from_zero(expr):
    assert not is_nonzero(expr)


def test_a_step_that_sympy_cannot_do_shows_nothing():
    A, B = sp.MatrixSymbol("A", N, N), sp.MatrixSymbol("B", N, N)
    assert not is_zero(sp.Trace(A * B) - sp.Trace(B * A))
    assert not is_zero(sp.Interval(0, 1))


def test_random_points_fit_the_assumptions():
    n = sp.Symbol("n", negative=True)
    for seed in range(20):
        assert at_random(N, seed).real == int(at_random(N, seed).real) >= 1
        assert at_random(t, seed).real > 0
        assert at_random(n, seed).real < 0
    assert at_random(x * y, 3) == at_random(x * y, 3)
    assert at_random(sp.Function("f")(x)) is None


@pytest.mark.parametrize("size", [4, 6, 9, 10])
def test_circulant_eigenvalues_belong_to_fourier_vectors_of_directed_weights(size):
    W = mixing.uniform(graphs.exponential(size))
    weights = {s: sp.nsimplify(W[0, s]) for s in range(size) if W[0, s] > 0}
    for index in range(size):
        value = complex(circulant_eigenvalue(weights, size, index))
        vector = np.exp(2j * np.pi * index * np.arange(size) / size)
        np.testing.assert_allclose(W @ vector, value * vector, atol=1e-12)


def test_branches_are_not_forced_beyond_what_symbols_assume():
    c, d = sp.symbols("c d", real=True)
    a, b = sp.symbols("a b", positive=True)
    x, r = sp.Symbol("x"), sp.Symbol("r", real=True)
    assert not is_zero(sp.log(c / d) - sp.log(c) + sp.log(d))
    assert is_zero(sp.log(a / b) - sp.log(a) + sp.log(b))
    assert not is_zero(sp.log(sp.exp(x)) - x)
    assert is_zero(sp.log(sp.exp(r)) - r)
    assert not is_zero(sp.sqrt(c**2) - c)
    assert is_zero(sp.sqrt(c**2) - abs(c))
