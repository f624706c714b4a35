import networkx as nx
import numpy as np
import pytest

from dsbo import graphs

BUILDERS = {
    "ring": graphs.ring,
    "path": graphs.path,
    "star": graphs.star,
    "complete": graphs.complete,
    "exponential": graphs.exponential,
    "symmetric exponential": lambda N: graphs.exponential(N, directed=False),
    "erdos_renyi": lambda N: graphs.erdos_renyi(N, 0.5, seed=0),
}


@pytest.mark.parametrize("N", [1, 2, 3, 5, 8, 10])
@pytest.mark.parametrize("name", BUILDERS)
def test_every_graph_has_the_agents_from_zero_and_is_connected(name, N):
    G = BUILDERS[name](np.int64(N))
    assert sorted(G) == list(range(N))
    assert nx.number_of_selfloops(G) == 0
    if G.is_directed():
        assert nx.is_strongly_connected(G)
    else:
        assert nx.is_connected(G)


@pytest.mark.parametrize(
    ("a", "b"), [(1, 1), (1, 2), (1, 5), (2, 2), (2, 5), (3, 3), (3, 5), (4, 4)]
)
def test_torus_is_regular_with_multiplicities(a, b):
    G = graphs.torus(a, b)
    assert G.graph["name"] == f"torus({a}, {b})"
    assert sorted(G) == list(range(a * b))
    degrees = {d for _, d in G.degree(weight="weight")}
    assert degrees == {2 * (a > 1) + 2 * (b > 1)}


@pytest.mark.parametrize("m", [0, 1, 2, 3, 4])
def test_hypercube_neighbours_differ_in_one_bit(m):
    G = graphs.hypercube(m)
    assert len(G) == 2**m
    assert all((i ^ j).bit_count() == 1 for i, j in G.edges)
    assert {d for _, d in G.degree} == {m}


@pytest.mark.parametrize("N", [2, 3, 4, 5, 6, 8, 9, 10, 15, 16, 20])
def test_exponential_agents_receive_from_powers_of_two_ahead(N):
    G = graphs.exponential(N)
    steps = range(int(np.ceil(np.log2(N))))
    for i in range(N):
        assert set(G.predecessors(i)) == {(i + 2**k) % N for k in steps}
        assert G.in_degree(i) == G.out_degree(i) == len(steps)


def test_undirected_exponential_has_every_link_both_ways():
    G = graphs.exponential(10, directed=False)
    assert not G.is_directed()
    assert set(G[0]) == {1, 2, 4, 6, 8, 9}


@pytest.mark.parametrize(
    ("N", "p", "seed"),
    [(5, 0.3, 1), (5, 0.5, 0), (5, 0.8, 0), (9, 0.3, 1), (9, 0.5, 0), (9, 0.8, 0)]
    + [(15, p, 0) for p in (0.3, 0.5, 0.8)],
)
def test_erdos_renyi_keeps_the_first_connected_seed(N, p, seed):
    G = graphs.erdos_renyi(N, p, seed=0)
    assert G.graph["seed"] == seed
    assert nx.utils.edges_equal(G.edges, nx.gnp_random_graph(N, p, seed=seed).edges)


def test_erdos_renyi_starts_at_the_given_seed_and_gives_up_with_the_remedy(monkeypatch):
    assert graphs.erdos_renyi(9, 0.5, seed=7).graph["seed"] >= 7
    monkeypatch.setattr(graphs, "TRIES", 5)
    with pytest.raises(ValueError, match=r"none of 5 draws .* p = 0.001 is connected; raise p"):
        graphs.erdos_renyi(20, 0.001)


NUMBERED = (graphs.ring, graphs.path, graphs.star, graphs.complete)
REFUSED = [
    *((build, 0, "N must be at least 1, got 0") for build in NUMBERED),
    *((build, n, "N must be a whole number, got") for build in NUMBERED for n in (2.0, "3", True)),
    (graphs.torus, 3, -1, "b must be at least 1, got -1"),
    (graphs.hypercube, -1, "m must be at least 0, got -1"),
    (graphs.erdos_renyi, 3, 0.5, -2, "seed must be at least 0, got -2"),
    *((graphs.erdos_renyi, 3, p, r"is not in \(0, 1\]") for p in (-0.1, 0.0, 1.5)),
    (graphs.erdos_renyi, 3, float("nan"), "p must be finite, got nan"),
    (graphs.erdos_renyi, 3, "half", "p must be a number"),
]


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_graph_is_refused(case):
    build, *given, message = case
    with pytest.raises((ValueError, TypeError), match=message):
        build(*given)
