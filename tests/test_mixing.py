import networkx as nx
import numpy as np
import pytest
import torch

from dsbo import graphs, mixing
from dsbo.mixing import laplacian, lazy, metropolis, rho, uniform

REGULAR = [
    *(graphs.ring(N) for N in (1, 2, 3, 5, 6, 9)),
    *(graphs.complete(N) for N in (1, 2, 5)),
    *(graphs.torus(a, b) for a, b in ((1, 1), (1, 4), (2, 2), (2, 5), (3, 3), (3, 5))),
    *(graphs.hypercube(m) for m in (0, 1, 2, 4)),
    *(graphs.exponential(N, directed=False) for N in (1, 2, 5, 9, 10)),
]
DIRECTED = [graphs.exponential(N) for N in (1, 2, 3, 6, 9, 16, 20)]
IRREGULAR = [
    graphs.path(6),
    graphs.star(6),
    nx.convert_node_labels_to_integers(nx.grid_2d_graph(2, 3)),
    *(graphs.erdos_renyi(9, p) for p in (0.3, 0.5, 0.8)),
]
RULES = {"metropolis": metropolis, "laplacian": laplacian, "uniform": uniform}
CASES = (
    [(G, rule) for G in REGULAR for rule in RULES]
    + [(G, "uniform") for G in DIRECTED]
    + [(G, rule) for G in IRREGULAR for rule in ("metropolis", "laplacian")]
)


def name(value):
    return value.graph.get("name", "grid") if isinstance(value, nx.Graph) else value


@pytest.mark.parametrize(("G", "rule"), CASES, ids=name)
def test_weights_are_doubly_stochastic_and_live_on_the_graph(G, rule):
    W = RULES[rule](G)
    N = len(G)
    assert W.dtype == np.float64
    assert W.shape == (N, N)
    assert W.min() >= 0
    np.testing.assert_allclose(W.sum(0), 1, atol=1e-14)
    np.testing.assert_allclose(W.sum(1), 1, atol=1e-14)
    np.testing.assert_array_equal(mixing.check(W, agents=N), W)
    edges = {(i, j) for i in range(N) for j in range(N) if i != j and W[i, j] > 0}
    assert edges == {(i, j) for i in range(N) for j in range(N) if G.has_edge(j, i)}
    if not G.is_directed():
        np.testing.assert_allclose(W, W.T, atol=1e-15)


@pytest.mark.parametrize("make", [metropolis, laplacian, uniform, lambda G: uniform(G, 0.3)])
def test_one_agent_listens_to_itself(make):
    W = make(graphs.ring(1))
    np.testing.assert_array_equal(W, [[1.0]])
    assert rho(W) == 0
    assert mixing.lambda_min(W) == 1
    np.testing.assert_array_equal(mixing.check(lazy(W), agents=1), mixing.average(1))


RING_THIRD = dict(
    zip(
        (4, 5, 6, 8, 9, 10, 15, 16, 20, 32, 64),
        (1 / 3, 0.5393, 2 / 3, 0.8047, 0.8440, 0.8727, 0.9424, 0.9493, 0.9674, 0.9872, 0.9968),
        strict=True,
    )
)
RING_LAZY = {4: 0.5, 5: 0.6545, 6: 0.75, 8: 0.8536, 9: 0.8830, 10: 0.9045, 15: 0.9568, 16: 0.9619}
RING_LAPLACIAN = {5: 0.7454, 6: 0.8333, 9: 0.9196, 10: 0.9363, 15: 0.9709, 20: 0.9837}
EXPONENTIAL = {4: 1 / 3, 6: 0.5, 8: 0.5, 10: 0.6, 12: 0.6, 16: 0.6, 20: 0.6667, 32: 0.6667}
EXPONENTIAL |= {64: 0.7143, 5: 0.25, 9: 0.4418, 15: 0.4899}
TORUS = {(3, 3): 0.4, (3, 5): 0.7236, (4, 5): 0.7236, (5, 5): 0.7236, (4, 4): 0.6}
TORUS |= {(8, 8): 0.8828, (4, 8): 0.8828, (2, 5): 0.7236}
DIGITS = [
    *((f"ring {N}", uniform(graphs.ring(N)), want) for N, want in RING_THIRD.items()),
    *((f"lazy {N}", uniform(graphs.ring(N), 0.5), w) for N, w in {**RING_LAZY, 20: 0.9755}.items()),
    *((f"laplace {N}", laplacian(graphs.ring(N)), want) for N, want in RING_LAPLACIAN.items()),
    *((f"exp {N}", uniform(graphs.exponential(N)), want) for N, want in EXPONENTIAL.items()),
    *((f"torus {ab}", uniform(graphs.torus(*ab)), want) for ab, want in TORUS.items()),
    *((f"cube {m}", uniform(graphs.hypercube(m)), (m - 1) / (m + 1)) for m in range(1, 7)),
    *((f"complete {N}", uniform(graphs.complete(N)), 0.0) for N in (2, 5, 10, 20)),
    ("torus 2x5, simple", metropolis(graphs.torus(2, 5)), 0.6545),
    ("path 6", metropolis(graphs.path(6)), 0.9107),
    ("star 6", metropolis(graphs.star(6)), 0.8333),
    ("grid 2x3", metropolis(IRREGULAR[2]), 0.75),
    ("complete, laplacian", laplacian(graphs.complete(5)), 1 / 3),
    ("adjusted ring .8", uniform(graphs.ring(10), 0.8), 0.9618),
    ("adjusted ring .9", uniform(graphs.ring(10), 0.9), 0.9809),
    ("ring 6, own share 1/8", uniform(graphs.ring(6), 1 / 8), 0.75),
]


@pytest.mark.parametrize(("W", "want"), [case[1:] for case in DIGITS], ids=[c[0] for c in DIGITS])
def test_rho_has_the_tabulated_digits(W, want):
    assert rho(W) == pytest.approx(want, abs=5.1e-5)


@pytest.mark.parametrize(
    ("N", "ring", "exp2", "four", "mesh", "star"),
    [(10, 0.8727, 0.6, 0.4472, 0.9045, 0.9), (20, 0.9674, 0.6667, None, 0.9143, 0.95)],
)
def test_rho_agrees_with_another_library(N, ring, exp2, four, mesh, star):
    """Digits measured with the graphs of BlueFog, which are built by other code."""
    grid = nx.convert_node_labels_to_integers(nx.grid_2d_graph(*{10: (2, 5), 20: (4, 5)}[N]))
    close = pytest.approx
    assert rho(uniform(graphs.ring(N))) == close(ring, abs=5.1e-5)
    assert rho(uniform(graphs.exponential(N))) == close(exp2, abs=5.1e-5)
    assert rho(metropolis(grid)) == close(mesh, abs=5.1e-5)
    assert rho(metropolis(graphs.star(N))) == close(star, abs=5.1e-5)
    assert rho(metropolis(graphs.complete(N))) == close(0, abs=1e-14)
    if four is not None:  # its symmetric exponential graph takes powers of 4
        assert rho(uniform(nx.circulant_graph(N, [1, 4]))) == close(four, abs=5.1e-5)


@pytest.mark.parametrize("G", [*REGULAR, *IRREGULAR], ids=name)
def test_laplacian_weights_have_eigenvalues_between_a_third_and_one(G):
    eigenvalues = np.linalg.eigvalsh(laplacian(G))
    assert eigenvalues[0] >= 1 / 3 - 1e-12
    assert eigenvalues[-1] == pytest.approx(1, abs=1e-12)


def test_metropolis_uses_the_degrees_of_both_ends():
    W = metropolis(graphs.star(4))
    np.testing.assert_allclose(W[0], 1 / 4)
    np.testing.assert_allclose(np.diag(W), [1 / 4, 3 / 4, 3 / 4, 3 / 4])


def test_rows_say_who_is_heard():
    W = uniform(graphs.exponential(6))
    assert set(np.flatnonzero(W[0])) == {0, 1, 2, 4}


def test_uniform_counts_double_edges():
    W = uniform(graphs.torus(2, 5))
    assert W[0, 5] == pytest.approx(0.4)
    np.testing.assert_allclose(uniform(graphs.ring(2)), [[1 / 3, 2 / 3], [2 / 3, 1 / 3]])


def test_self_weight_sets_the_own_share_and_the_rest_is_equal():
    W = uniform(graphs.ring(5), self_weight=0.8)
    np.testing.assert_allclose(np.diag(W), 0.8)
    assert sorted({round(w, 15) for w in W[0]}) == [0, 0.1, 0.8]


def test_lazy_weights_have_no_negative_eigenvalue():
    W = uniform(graphs.torus(4, 4))
    assert mixing.lambda_min(W) == pytest.approx(-0.6)
    assert mixing.lambda_min(lazy(W)) == pytest.approx(0.2)


def test_lambda_min_of_directed_weights_is_a_real_part():
    W = uniform(graphs.exponential(8))
    assert mixing.lambda_min(W) == pytest.approx(np.linalg.eigvals(W).real.min())


def test_rho_is_the_factor_by_which_disagreement_shrinks():
    W, x = uniform(graphs.ring(8)), np.random.default_rng(0).normal(size=(8, 3))
    x -= x.mean(0)
    assert np.linalg.norm(W @ x) <= rho(W) * np.linalg.norm(x)
    assert rho(mixing.average(7)) == pytest.approx(0, abs=1e-15)


def test_functions_of_weights_accept_tensors():
    W = uniform(graphs.ring(6), 0.5)
    for tensor in (torch.from_numpy(W), torch.tensor(W, dtype=torch.float32, requires_grad=True)):
        checked = mixing.check(tensor)
        assert checked.dtype == np.float64
        assert rho(tensor) == pytest.approx(0.75)
        assert mixing.lambda_min(tensor) == pytest.approx(0, abs=1e-7)
        np.testing.assert_allclose(lazy(tensor), lazy(W))
    third = uniform(graphs.ring(6))
    mixing.check(third.astype(np.float32))
    mixing.check(torch.tensor(third, dtype=torch.float32))
    with pytest.raises(ValueError, match="not doubly stochastic"):
        mixing.check(third.astype(np.float32).astype(np.float64))


def test_check_returns_a_copy():
    W = uniform(graphs.ring(4))
    mixing.check(W)[0, 0] = 7
    assert W[0, 0] != 7


BAD = [
    (np.ones((2, 3)), r"W has shape \(2, 3\); give a square matrix"),
    (np.ones(3), r"W has shape \(3,\)"),
    (np.ones((0, 0)), r"W has shape \(0, 0\)"),
    ([[0.5, np.nan], [0.5, 0.5]], r"W\[0, 1\] = nan is not finite"),
    ([[np.inf, 0.5], [0.5, 0.5]], r"W\[0, 0\] = inf is not finite"),
    ([[1.5, -0.5], [-0.5, 1.5]], r"W\[0, 1\] = -0.5 is negative; use mixing.metropolis"),
    ([[0.5, 0.5], [0.3, 0.7]], r"columns sum to \[0.8 1.2\]; use mixing.metropolis"),
    ([[0.5, 0.3], [0.5, 0.7]], r"rows sum to \[0.8 1.2\]; use mixing.metropolis"),
    (np.eye(3), r"falls into 3 parts, one of them \[0\]; use a connected graph"),
    (np.kron(np.eye(2), np.full((2, 2), 0.5)), r"falls into 2 parts, one of them \[0, 1\]"),
]


@pytest.mark.parametrize(("W", "message"), BAD)
def test_check_says_what_is_wrong(W, message):
    with pytest.raises(ValueError, match=message):
        mixing.check(W)


def test_check_compares_the_number_of_agents():
    with pytest.raises(ValueError, match=r"W is for 4 agents, not 6; build it on a graph of 6"):
        mixing.check(mixing.average(4), agents=6)


@pytest.mark.parametrize("rule", [metropolis, laplacian])
def test_symmetric_rules_refuse_directed_graphs(rule):
    with pytest.raises(ValueError, match=r"directed; use mixing.uniform"):
        rule(graphs.exponential(5))


@pytest.mark.parametrize("G", [graphs.path(4), graphs.star(5), nx.path_graph(3, nx.DiGraph)])
def test_uniform_refuses_irregular_graphs_with_the_remedy(G):
    with pytest.raises(ValueError, match=r"not regular: degrees .*; use mixing.metropolis"):
        uniform(G)


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, float("nan")])
def test_uniform_refuses_shares_outside_the_range(share):
    with pytest.raises(ValueError, match=r"is not in \[0, 1\)"):
        uniform(graphs.ring(4), self_weight=share)


@pytest.mark.parametrize("rule", RULES.values())
def test_weights_need_agents_from_zero_and_no_self_loops(rule):
    with pytest.raises(ValueError, match=r"use networkx.convert_node_labels_to_integers"):
        rule(nx.Graph([("a", "b")]))
    with pytest.raises(ValueError, match=r"agents are \[\]"):
        rule(nx.Graph())
    with pytest.raises(ValueError, match="self-loops"):
        rule(nx.Graph([(0, 1), (0, 0)]))


def test_average_refuses_bad_counts():
    with pytest.raises(ValueError, match="N = 0"):
        mixing.average(0)
    with pytest.raises(TypeError, match="must be an integer"):
        mixing.average(2.0)
