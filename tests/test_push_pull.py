"""Two weights on directed graphs: against loops over agents, at rest, refused, over processes."""

from dataclasses import fields, replace

import networkx as nx
import numpy as np
import pytest
import torch
from cases import drawn_noise, quadratic, t2
from reference.dsoba import average, oracles
from test_conformance import CASES

from dsbo import (
    DF2SA,
    DSOBA,
    SLDBO,
    SPARKLE,
    Dense,
    Peers,
    PerLevel,
    PushPull,
    conformance,
    graphs,
    mixing,
    run,
    suggest,
    sweep,
)
from dsbo.network import spawn
from dsbo.network.one_peer import drawn
from dsbo.problems import Quadratic

LEVELS = "upper", "lower", "auxiliary"
STEPS = {"alpha": 0.03, "beta": 0.06, "gamma": 0.06}
TRACKED = {name: case.algorithm for name, case in CASES.items() if case.algorithm.tracking}
TRACKED |= {
    name: SPARKLE(**STEPS, **dict.fromkeys(LEVELS, name))
    for name in ("ATC-GT", "semi-ATC-GT", "non-ATC-GT")
}


def digraph(N):
    """A directed ring with a chord: agent 0 is heard by two, agent 2 hears two."""
    G = nx.DiGraph([(i, (i + 1) % N) for i in range(N)])
    G.add_edge(0, 2)
    return G


def pair(G):
    return PushPull(mixing.row(G), mixing.column(G))


def changing(N, rounds=8, seed=0):
    """Of the digraph's edges each is there in half the rounds."""
    rng, G = np.random.default_rng(seed), digraph(N)
    those = []
    for _ in range(rounds):
        H = nx.empty_graph(N, create_using=nx.DiGraph)
        H.add_edges_from(edge for edge in G.edges if rng.random() < 0.5)
        those.append(H)
    return PushPull([mixing.row(H) for H in those], [mixing.column(H) for H in those])


def by_hand(c, network, form, steps, noise):
    """Agent by agent: y, then z at the new y, then x; with SLDBO all three at the old point."""
    N, d = c["p"].shape
    p, a = c["r"].shape[1], STEPS
    S = {k: [np.zeros(d if k == "x" else p) for _ in range(N)] for k in "xyz"}
    sent = {k: [np.zeros_like(own) for own in S[k]] for k in "xyz"}
    old = {k: [np.zeros_like(own) for own in S[k]] for k in "xyz"}
    rounds = 0

    def direction(k, t, i):
        u_x, u_y, v, J, H = oracles(c, i, S["x"][i], S["y"][i], *noise(i, t))
        return {"x": u_x - J @ S["z"][i], "y": v, "z": H @ S["z"][i] - u_y}[k]

    def weights():
        return network.cycle[drawn(rounds, len(network.cycle))]

    for t in range(steps):
        found = {k: [direction(k, t, i) for i in range(N)] for k in "xyz"}
        for k, step in (("y", a["beta"]), ("z", a["gamma"]), ("x", a["alpha"])):
            D = found[k] if form == "SLDBO" else [direction(k, t, i) for i in range(N)]
            T = [sent[k][i] + D[i] - old[k][i] for i in range(N)]
            old[k] = D
            if form == "ATC-GT":
                T = [average(weights()[1], T, i) for i in range(N)]
                rounds += 1
            A, B = weights()
            sent[k] = T if form == "ATC-GT" else [average(B, T, i) for i in range(N)]
            if form in ("ATC-GT", "semi-ATC-GT"):
                moved = [S[k][i] - step * T[i] for i in range(N)]
                S[k] = [average(A, moved, i) for i in range(N)]
            else:
                S[k] = [average(A, S[k], i) - step * T[i] for i in range(N)]
            rounds += form != "SLDBO"
        rounds += form == "SLDBO"
    return S


@pytest.mark.parametrize("network", [pair(digraph(5)), changing(5)], ids=["fixed", "changing"])
@pytest.mark.parametrize("form", ["ATC-GT", "semi-ATC-GT", "non-ATC-GT", "SLDBO"])
def test_equals_loops_over_agents(form, network):
    c, problem = quadratic(N=5, noise=0.5)
    method = SLDBO(**STEPS, radius=100.0) if form == "SLDBO" else TRACKED[form]
    state = run(method, problem, network, 30, seed=2).state
    want = by_hand(c, network, form, 30, drawn_noise(2, 0.5, 3, 4))
    for level in "xyz":
        np.testing.assert_allclose(getattr(state, level), want[level], rtol=0, atol=1e-12)


def test_perron_vectors_have_their_closed_form():
    network = pair(digraph(4))
    np.testing.assert_allclose(13 * mixing.perron(network.W), [4, 2, 3, 4], rtol=0, atol=1e-12)
    pushed = 13 * mixing.perron(network.push.T)
    np.testing.assert_allclose(pushed, [3, 2, 4, 4], rtol=0, atol=1e-12)
    assert network.gain == pytest.approx(176 / 169, abs=1e-12)


@pytest.mark.parametrize("name", {type(method): name for name, method in TRACKED.items()}.values())
def test_every_tracked_method_rests_where_it_does_with_a_server(name):
    problem, method = t2(), TRACKED[name]
    short = {"alpha": 0.1, "beta": 0.2, "gamma": 0.2, "L": 2.0} | {
        "full_sum": True,
        "radius": 9.0,
        "q": 1,
    }
    own = {k.name: short[k.name] for k in fields(method) if k.init and k.name in short}
    method = replace(method, **own)
    network, server = pair(digraph(4)), Dense(mixing.lazy(mixing.average(4)))
    got, want = (run(method, problem, n, 600, every=600).state for n in (network, server))
    np.testing.assert_allclose(got.x, want.x, rtol=0, atol=1e-7)
    assert float((got.x - got.x[0]).abs().max()) < 1e-8


@pytest.mark.parametrize("network", [pair(digraph(4)), changing(4)], ids=["fixed", "changing"])
def test_agents_that_track_all_levels_rest_at_the_solution(network):
    method = SPARKLE(0.1, 0.2, 0.2, **dict.fromkeys(LEVELS, "semi-ATC-GT"))
    state = run(method, t2(), network, 2000, every=2000).state
    np.testing.assert_allclose(state.x, 0.3216374269, rtol=0, atol=1e-9)


def test_small_perron_vectors_have_all_their_digits():
    N = 30
    G = nx.DiGraph([(i, i + 1) for i in range(N - 1)])
    G.add_edges_from((i, j) for i in range(N) for j in range(max(0, i - 6), i))
    network = pair(G)
    assert mixing.perron(network.W).min() > 0
    assert network.gain == pytest.approx(1.15e-18, rel=0.01)


@pytest.mark.parametrize("W", [[[0.5, 0.6], [0.4, 0.6]], np.eye(3), [[np.nan]], [[-1, 2], [1, 0]]])
def test_what_has_no_perron_vector_is_refused(W):
    with pytest.raises(ValueError, match=r"rows that sum to 1|strongly connected|not finite"):
        mixing.perron(W)


def test_weights_of_single_precision_are_taken():
    one, other = pair(digraph(4)), digraph(4)
    A, B = (f(other).astype(np.float32) for f in (mixing.row, mixing.column))
    for given in ((A, B), (torch.from_numpy(A), torch.from_numpy(B)), (np.stack([A]), [B])):
        np.testing.assert_allclose(PushPull(*given).W, one.W, rtol=0, atol=1e-6)


def test_each_level_is_asked_for_its_own_strategy():
    _, problem = quadratic(N=5)
    method = SPARKLE(**STEPS, lower="semi-ATC-GT", auxiliary="semi-ATC-GT")
    ring, directed = Dense(mixing.lazy(mixing.metropolis(graphs.ring(5)))), pair(digraph(5))
    run(method, problem, PerLevel(ring, directed, directed), 3)
    with pytest.raises(ValueError, match=r"SPARKLE with ED on x does not track"):
        run(method, problem, PerLevel(directed, ring, ring), 3)


def test_balanced_weights_are_said_to_need_no_pair():
    W = mixing.uniform(graphs.ring(5))
    with pytest.raises(ValueError, match=r"if W is doubly stochastic: Dense\(W\)"):
        run(DSOBA(**STEPS), quadratic(N=5)[1], PushPull(W, W), 1)


def test_steps_are_suggested_where_the_lower_one_must_give_way():
    made = suggest(
        DF2SA, Quadratic.random(4, 2, 2, 1.0, seed=0), pair(digraph(4)), strategy="ATC-GT"
    )
    assert "so that x may move" in made.reasons["beta"]


def test_trackers_that_are_pulled_lead_to_the_weighted_problem():
    network = pair(digraph(4))
    object.__setattr__(network, "cycle", [np.stack([network.W, network.W])])
    state = run(SLDBO(0.1, 0.2, 0.2, radius=9.0), t2(), network, 1500, every=1500).state
    for level, value in (("x", 0.35584604), ("y", 1.54175744), ("z", -0.11861535)):
        np.testing.assert_allclose(getattr(state, level), value, rtol=0, atol=1e-8)


def test_columns_alone_need_the_weights_of_push_sum():
    c = {name: part.numpy() for name, part in t2().coefficients(shared=False).items()}
    B, omega, none = mixing.column(digraph(4)), np.ones(4), (0.0, 0.0, 0.0)
    S = {k: [np.zeros(1) for _ in range(4)] for k in "xyz"}
    for _ in range(1500):
        D = {k: [] for k in "xyz"}
        for i in range(4):
            x, y, z = (S[k][i] / omega[i] for k in "xyz")
            u_x, u_y, v, J, H = oracles(c, i, x, y, *none)
            for k, own in (("x", u_x - J @ z), ("y", v), ("z", H @ z - u_y)):
                D[k].append(own)
        for k, step in (("x", 0.1), ("y", 0.2), ("z", 0.2)):
            moved = [S[k][i] - step * D[k][i] for i in range(4)]
            S[k] = [average(B, moved, i) for i in range(4)]
        omega = B @ omega
    np.testing.assert_allclose(13 * omega, [12, 8, 16, 16], rtol=0, atol=1e-9)
    want = [0.22974818, 0.24343521, 0.26147593, 0.25582727]
    got = np.concatenate(S["x"]) / omega
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-8)


def test_trackers_keep_their_sum():
    _, problem = quadratic(N=5, noise=0.5)
    state = run(CASES["diamond"].algorithm, problem, changing(5), 40).state
    torch.testing.assert_close(state.u.sum(0), state.p.sum(0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in CASES if n not in TRACKED])
def test_what_is_not_tracked_is_refused(name):
    method = CASES[name].algorithm
    _, problem = quadratic(N=5)
    with pytest.raises(ValueError, match=r"Perron vector of W|centralised"):
        run(method, problem, pair(digraph(5)), 3)


def test_weights_of_rows_alone_are_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"or PushPull on a directed graph; with rows alone"):
        Dense(mixing.row(digraph(5)))


def test_pairs_that_do_not_fit_are_refused():
    A, B = mixing.row(digraph(4)), mixing.column(digraph(4))
    with pytest.raises(ValueError, match=r"W is not row-stochastic: rows sum to .* mixing\.row"):
        PushPull(B, A)
    with pytest.raises(ValueError, match=r"push is not column-stochastic: columns sum to"):
        PushPull(A, A)
    with pytest.raises(ValueError, match=r"W is for 4 agents, push for 5"):
        PushPull(A, mixing.column(digraph(5)))
    with pytest.raises(ValueError, match=r"W\[2, 0\] = 0\.333, but push\[2, 0\] = 0; make both of"):
        PushPull(A, mixing.column(nx.cycle_graph(4, create_using=nx.DiGraph)))
    with pytest.raises(ValueError, match=r"W\[0, 0\] is 0: agent 0 keeps nothing"):
        PushPull(np.eye(4)[[1, 2, 3, 0]], B)
    with pytest.raises(ValueError, match=r"falls into 2 parts"):
        PushPull(*(f(nx.DiGraph([(0, 1)])) for f in (mixing.row, mixing.column)))
    with pytest.raises(ValueError, match=r"W is given for 2 rounds, push for 1"):
        PushPull([A, A], B)
    two = [A, mixing.row(digraph(5))], [B, mixing.column(digraph(5))]
    with pytest.raises(ValueError, match=r"different numbers of agents"):
        PushPull(*two)
    for none in (None, [], np.zeros((0, 4, 4)), 3.0, digraph(4)):
        with pytest.raises(TypeError, match=r"must be weights, as mixing\.column\(G\) makes them"):
            PushPull(A, none)
    with pytest.raises(ValueError, match=r"W\[0, 1\] = -0\.5 is negative"):
        PushPull([[1.5, -0.5], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]])


def test_on_an_undirected_regular_graph_it_is_one_matrix():
    _, problem = quadratic(N=5, noise=0.5)
    two, one = pair(graphs.ring(5)), Dense(mixing.uniform(graphs.ring(5)))
    a, b = (run(TRACKED["sldbo"], problem, n, 20, seed=1) for n in (two, one))
    conformance.equals(a.state, b.state, 1e-13)
    assert two.links == one.links
    assert a.rows[-1]["floats"] == b.rows[-1]["floats"]


def test_a_round_of_changing_graphs_counts_what_travels_in_it():
    network, (_, problem) = changing(5), quadratic(N=5)
    last = run(TRACKED["sldbo"], problem, network, 16).rows[-1]
    assert last["floats"] == 2 * sum(network.turns) * 2 * (3 + 2 * 4)
    assert len(set(network.turns)) > 1


def test_a_compiled_run_pushes_and_pulls(monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, *_, **__: graph)
    network, (_, problem) = pair(digraph(5)), quadratic(N=5, noise=0.5)
    for name in ("sldbo", "ATC-GT"):
        plain, whole = (run(TRACKED[name], problem, network, 8, compile=c) for c in (False, True))
        assert "compiling" in whole.provenance
        conformance.equals(whole.state, plain.state, 1e-12)


def test_runs_on_changing_graphs_resume_and_sweep(tmp_path):
    network, (_, problem) = changing(5), quadratic(N=5, noise=0.5)
    method = TRACKED["sldbo"]
    whole = run(method, problem, network, 40, seed=1).state
    run(method, problem, network, 17, seed=1, checkpoint=tmp_path)
    again = run(method, problem, network, 40, seed=1, checkpoint=tmp_path, resume=True).state
    conformance.equals(again, whole, 0.0)
    (swept,) = sweep([(method, 1)], problem, network, 40)
    conformance.equals(swept.state, whole, 1e-12)


def test_another_order_of_graphs_is_another_run():
    one, other = changing(5), changing(5, seed=1)
    made = [run(TRACKED["sldbo"], quadratic(N=5)[1], n, 1).provenance for n in (one, other)]
    a, b = (told["network"]["sha256"] for told in made)
    assert a != b


def test_levels_may_have_pairs_of_their_own():
    problem, G = t2(), digraph(4)
    network = PerLevel(pair(G), pair(G.reverse()), pair(nx.complete_graph(4)))
    state = run(TRACKED["semi-ATC-GT"], problem, network, 600, every=600).state
    np.testing.assert_allclose(state.x, 0.3216374269, rtol=0, atol=1e-6)


def on_peers():
    network = pair(digraph(5))
    _, problem = quadratic(N=5, noise=0.5)
    return [
        run(TRACKED[name], problem, Peers(network.W, network.push), 20, seed=1).state
        for name in ("diamond", "ATC-GT", "sldbo")
    ]


@pytest.mark.xdist_group("peers")
def test_processes_have_the_same_bits_and_equal_the_matrices():
    alone, network = on_peers(), pair(digraph(5))
    _, problem = quadratic(N=5, noise=0.5)
    for state, name in zip(alone, ("diamond", "ATC-GT", "sldbo"), strict=True):
        conformance.equals(state, run(TRACKED[name], problem, network, 20, seed=1).state, 1e-12)
    together = spawn(on_peers, 2, timeout=60)[0]
    for a, b in zip(alone, together, strict=True):
        conformance.equals(a, b, 0.0)


def test_dsoba_is_told_what_it_would_solve():
    with pytest.raises(ValueError, match=r"count as \[0\.308 0\.154 0\.231 0\.308\]"):
        run(DSOBA(**STEPS), t2(), pair(digraph(4)), 1)
