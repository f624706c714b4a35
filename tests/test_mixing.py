import networkx as nx
import numpy as np
import pytest
import torch

from dsbo import graphs, mixing, spectra
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


MESH = nx.convert_node_labels_to_integers(nx.grid_2d_graph(4, 5))
DIGITS = [
    ("ring 2", uniform(graphs.ring(2)), 1 / 3),
    ("ring 10", uniform(graphs.ring(10)), 0.8727),
    ("ring 20", uniform(graphs.ring(20)), 0.9674),
    ("lazy 6", uniform(graphs.ring(6), 0.5), 0.75),
    ("laplace 10", laplacian(graphs.ring(10)), 0.9363),
    ("exp 10", uniform(graphs.exponential(10)), 0.6),
    ("exp 15", uniform(graphs.exponential(15)), 0.4899),
    ("symmetric exp 10, powers of 4", uniform(nx.circulant_graph(10, [1, 4])), 0.4472),
    ("torus 2x5", uniform(graphs.torus(2, 5)), 0.7236),
    ("torus 2x5, simple", metropolis(graphs.torus(2, 5)), 0.6545),
    ("lazy torus 4x4", lazy(uniform(graphs.torus(4, 4))), 0.8),
    ("cube 4", uniform(graphs.hypercube(4)), 0.6),
    ("path 6", metropolis(graphs.path(6)), 0.9107),
    ("star 20", metropolis(graphs.star(20)), 0.95),
    ("grid 2x3", metropolis(IRREGULAR[2]), 0.75),
    ("grid 4x5", metropolis(MESH), 0.9143),
    ("complete", metropolis(graphs.complete(20)), 0.0),
    ("complete, laplacian", laplacian(graphs.complete(5)), 1 / 3),
    ("adjusted ring .8", uniform(graphs.ring(10), 0.8), 0.9618),
    ("adjusted ring .9", uniform(graphs.ring(10), 0.9), 0.9809),
    ("ring 6, own share 1/8", uniform(graphs.ring(6), 1 / 8), 0.75),
]


@pytest.mark.parametrize(("W", "want"), [case[1:] for case in DIGITS], ids=[c[0] for c in DIGITS])
def test_rho_has_the_tabulated_digits(W, want):
    assert rho(W) == pytest.approx(want, abs=5.1e-5)


def test_lambda_min_of_directed_weights_is_a_real_part():
    W = uniform(graphs.exponential(8))
    assert mixing.lambda_min(W) == pytest.approx(np.linalg.eigvals(W).real.min())


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


SHARE = r"is not in \[0, 1\)|must be finite"
IRREGULAR_GRAPH = r"not regular: degrees .*; use mixing.metropolis"
REFUSED = [
    (mixing.check, mixing.average(4), 6, "W is for 4 agents, not 6; build it on a graph of 6"),
    *((rule, graphs.exponential(5), "directed; use") for rule in (metropolis, laplacian)),
    *((uniform, graphs.ring(4), share, SHARE) for share in (-0.1, 1.0, 2.0, float("nan"))),
    (uniform, graphs.path(4), IRREGULAR_GRAPH),
    (uniform, nx.path_graph(3, nx.DiGraph), IRREGULAR_GRAPH),
    *((rule, nx.Graph([("a", "b")]), "convert_node_labels") for rule in RULES.values()),
    *((rule, nx.Graph(), r"agents are \[\]") for rule in RULES.values()),
    *((rule, nx.Graph([(0, 1), (0, 0)]), "self-loops") for rule in RULES.values()),
    (mixing.average, 0, "N must be at least 1, got 0"),
    (mixing.average, 2.0, "must be a whole number"),
]


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_weights_is_refused(case):
    function, *given, message = case
    with pytest.raises((ValueError, TypeError), match=message):
        function(*given)


def test_rho_is_a_norm_where_that_is_more_than_an_eigenvalue():
    W = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]] * 2)  # W² averages exactly
    assert np.abs(np.linalg.eigvals(W - 1 / 4)).max() < 1e-3
    assert rho(W) == pytest.approx(1)


@pytest.mark.parametrize(
    "G",
    [graphs.ring(300), graphs.path(300), graphs.torus(16, 20), graphs.exponential(300)],
    ids=str,
)
def test_sparse_spectra_are_those_of_lapack(G, monkeypatch):
    W = mixing.uniform(G) if G.is_directed() else mixing.metropolis(G)
    want = np.linalg.norm(W - 1 / len(W), ord=2)
    least = np.linalg.eigvals(W).real.min()
    monkeypatch.setattr(spectra, "DENSE_AGENTS", 8)
    assert mixing.rho(W) == pytest.approx(want, abs=1e-14)
    assert mixing.lambda_min(W) == pytest.approx(least, abs=1e-13)


def test_rounded_weights_are_of_their_type_and_sum_to_one():
    W = mixing.metropolis(graphs.erdos_renyi(30, 0.3))
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        got = mixing.rounded(W, dtype)
        assert (got.sum(axis=0) == 1).all()
        assert (got.sum(axis=1) == 1).all()
        np.testing.assert_array_equal(torch.as_tensor(got).to(dtype).double(), got)
        assert np.abs(got - W).max() < 30 * torch.finfo(dtype).eps
    assert mixing.rounded(W, torch.float64) is W


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("rule", [metropolis, laplacian, uniform])
def test_edges_that_carry_nothing_are_refused(rule, weight):
    G = graphs.ring(4)
    G.edges[0, 1]["weight"] = weight
    with pytest.raises(ValueError, match=r"the edge \(0, 1\) has weight .*positive weight"):
        rule(G)


@pytest.mark.parametrize(
    "W",
    [
        np.roll(np.eye(5), 1, axis=0),
        np.array([[0.0, 1.0], [1.0, 0.0]]),
        uniform(graphs.ring(6), self_weight=0.0),
        0.5 * (np.roll(np.eye(6), 1, axis=0) + np.roll(np.eye(6), 3, axis=0)),
    ],
)
def test_weights_whose_disagreement_never_fades_are_refused(W):
    assert rho(W) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"graph of W is periodic.*mixing\.lazy"):
        mixing.check(W)
    mixing.check(lazy(W))


def test_weights_without_own_shares_pass_if_rows_do_not_only_travel_round():
    W = uniform(graphs.ring(5), self_weight=0.0)
    assert rho(W) < 1
    mixing.check(W)
    bruijn = np.zeros((8, 8))
    for i in range(8):
        bruijn[i, [(2 * i) % 8, (2 * i + 1) % 8]] += 0.5
    np.testing.assert_array_equal(np.linalg.matrix_power(bruijn, 3), np.full((8, 8), 1 / 8))
    mixing.check(bruijn)


@pytest.mark.parametrize(
    "W",
    [
        metropolis(graphs.star(30)),
        laplacian(nx.turan_graph(24, 4)),
        lazy(np.kron(np.eye(20), np.full((2, 2), 0.5))),
        uniform(graphs.complete(40), self_weight=0.1),
    ],
)
def test_lanczos_stops_where_there_are_few_eigenvalues(W, monkeypatch):
    monkeypatch.setattr(spectra, "DENSE_AGENTS", 4)
    monkeypatch.setattr(spectra, "SPARSE_LINKS", 99)
    assert rho(W) == pytest.approx(np.linalg.norm(W - 1 / len(W), ord=2), abs=1e-12)
    assert mixing.lambda_min(W) == pytest.approx(np.linalg.eigvalsh(W)[0], abs=1e-12)


@pytest.mark.parametrize("N", [100, 200, 300])
def test_weights_that_a_type_cannot_tell_are_refused(N):
    with pytest.raises(ValueError, match=r"in torch\.bfloat16, .* use float32"):
        mixing.rounded(mixing.average(N), torch.bfloat16)
