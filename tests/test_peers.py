"""Several processes run the same algorithms to the same numbers."""

import re
import shutil
from functools import cache, partial

import pytest
import torch
from cases import STEPS, equal_to_rounding, lazy_ring, quadratic, tanh_problem
from test_conformance import CASES, weights

from dsbo import (
    DIAMOND,
    DSOBA,
    Dense,
    Diverged,
    GossipDSBO,
    Peers,
    PerLevel,
    Problem,
    Sparse,
    graphs,
    mixing,
    run,
)
from dsbo.network import OnePeer, spawn
from dsbo.network.peers import over_processes
from dsbo_book.experiments.running import run_study
from dsbo_book.experiments.study import Start, Study

N = 5
# What one test has computed on some processes another one compares: they share a worker's cache.
pytestmark = pytest.mark.xdist_group("peers")


def settings():
    """Every algorithm, on weights that fit it, with noise."""
    _, problem = quadratic(N=N, noise=0.5)
    for name, case in CASES.items():
        yield (name, "random"), (case.algorithm, problem, weights(case, N, directed=True))
    yield ("dsoba", "ring"), (CASES["dsoba"].algorithm, problem, lazy_ring(N))


def outcome(trace):
    """The rows without their times, and on rank 0 all agents' variables."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in trace.rows], trace.state


def everything(transport, folder=None, steps=12, resume=False):
    """Run everything and give the outcomes."""
    found = {}
    for key, (algorithm, problem, W) in settings():
        place = None if folder is None else folder / "-".join(key)
        trace = run(
            algorithm, problem, transport(W), steps, seed=3, every=4, checkpoint=place,
            resume=resume,
        )  # fmt: skip
        found[key] = outcome(trace)
    return found


@cache
def on(processes):
    """Everything on some processes; on none, in this one."""
    job = partial(everything, Peers)
    return spawn(job, processes, timeout=30)[0] if processes else job()


def bitwise(a, b):
    for key, (rows, state) in a.items():
        assert all(torch.equal(x, y) for x, y in zip(state, b[key][1], strict=True)), key
        assert rows == b[key][0], key


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_processes_give_the_same_bits_as_none(processes):
    bitwise(on(processes), on(0))


@pytest.mark.parametrize("transport", [Dense, Sparse])
def test_processes_equal_the_matrix(transport):
    for key, (rows, state) in everything(transport).items():
        got = on(3)[key]
        equal_to_rounding(got[1], state, name=key)
        for a, b in zip(got[0], rows, strict=True):
            assert a == pytest.approx(b, rel=1e-11, abs=1e-13), key


def by_autodiff(transport=Peers):
    algorithm, network = CASES["dsoba"].algorithm, transport(weights(CASES["dsoba"], N))
    return {"tanh": outcome(run(algorithm, tanh_problem(N), network, 30, seed=3, every=10))}


def test_losses_of_ones_own_have_the_same_bits_on_processes():
    alone = by_autodiff()
    bitwise(spawn(by_autodiff, 2, timeout=30)[0], alone)
    for transport in (Dense, Sparse):
        equal_to_rounding(alone["tanh"][1], by_autodiff(transport)["tanh"][1])


def test_a_run_of_four_processes_goes_on_with_other_numbers_of_them(tmp_path):
    spawn(partial(everything, Peers, tmp_path / "four", steps=7), 4, timeout=30)
    shutil.copytree(tmp_path / "four", tmp_path / "two")
    two = partial(everything, Peers, tmp_path / "two", resume=True)
    bitwise(spawn(two, 2, timeout=30)[0], on(0))
    bitwise(everything(Peers, tmp_path / "four", resume=True), on(0))


def test_a_network_that_is_sent_to_processes_belongs_to_them():
    _, problem = quadratic(N=N, noise=0.5)
    job = partial(run, CASES["dsoba"].algorithm, problem, Peers(lazy_ring(N)), 6)
    alone, (first, second) = job(), spawn(job, 2, timeout=30)
    assert all(map(torch.equal, alone.state, first.state))
    assert [len(trace.state.x) for trace in (first, second)] == [N, N // 2]


def noisy(N, noise):
    return quadratic(N=N, noise=noise)[1]


def per_level(_):
    W = lazy_ring(N)
    network = PerLevel(x=Dense(W), y=Sparse(mixing.lazy(W)), z=Dense(mixing.average(N)))
    algorithm = CASES["sparkle mixed"].algorithm
    return Start(algorithm, partial(noisy, N=N, noise=0.5), network, steps=30, every=10)


def state_of_run(folder):
    study = Study([{"seed": 3}], per_level)
    (trace,) = run_study(study, folder, progress=False)
    # What a run is known by does not depend on how many processes make it.
    (again,) = run_study(study, folder, progress=False, resume=True)
    assert again.rows == trace.rows
    return trace.state


def test_an_experiment_with_a_graph_a_level_runs_on_processes(tmp_path):
    got = spawn(partial(state_of_run, tmp_path / "two"), 2, timeout=30)[0]
    equal_to_rounding(got, state_of_run(tmp_path / "one"))


def test_a_network_whose_weights_change_is_refused_on_processes():
    with pytest.raises(TypeError, match="OnePeer has no form over several processes; run it in"):
        over_processes(OnePeer(4))


def test_only_rows_that_are_asked_for_cross():
    W = mixing.metropolis(graphs.path(6))
    network = Peers(W)
    assert network.crossings == 0  # alone
    assert network.asked(range(2), range(2, 6)) == [2]
    assert network.asked(range(2, 4), range(2)) == [1]


def test_processes_that_have_not_met_are_told_to(monkeypatch):
    problem = quadratic()[1]
    for network in (Peers(lazy_ring(5)), Dense(lazy_ring(5))):
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(ValueError, match=r"2 processes were started, .*join\(\)"):
            run(DSOBA(**STEPS), problem, network, steps=1)
        monkeypatch.delenv("WORLD_SIZE")


def dense_among_others():
    with pytest.raises(ValueError, match=r"Dense holds all agents in every process.*Peers"):
        run(DSOBA(**STEPS), quadratic()[1], Dense(lazy_ring(5)), steps=1)


def test_all_agents_in_each_of_several_processes_are_refused():
    spawn(dense_among_others, processes=2)


def uneven(batch):
    def fit(x, y, batch):
        a, c = batch
        return (torch.tanh(a @ y) - c).square().mean() + (x.exp() * y.square()).sum()

    g = torch.Generator().manual_seed(0)
    real = {"generator": g, "dtype": torch.float64}
    data = [(torch.randn(m, 3, **real), torch.randn(m, **real)) for m in (4, 1, 6, 4, 2)]
    start = torch.zeros(3, dtype=torch.float64)
    problem = Problem.from_losses(fit, fit, start, start, data, data[::-1], batch)
    return {
        "uneven": outcome(run(DSOBA(**STEPS), problem, Peers(lazy_ring(N)), 9, seed=3, every=3))
    }


@pytest.mark.parametrize("batch", [None, 3])
def test_agents_with_different_numbers_of_rows_have_the_same_bits_on_processes(batch):
    job = partial(uneven, batch)
    bitwise(spawn(job, 2, timeout=30)[0], job())


def looking_at_curvatures(W):
    """What is told of a bound that is too small, and of a lower level that is not convex."""
    told = []
    _, problem = quadratic(N=N)
    for method in (
        DIAMOND(0.1, 0.1, 1.0, 1.0, K=3, L=0.5),
        GossipDSBO(0.1, 0.1, 0.5, copies=3, L=0.5),
        DSOBA(0.1, 99.0, 0.1),
        DIAMOND(0.1, 99.0, 1.0, 1.0, K=3, L=9.0),
    ):
        try:
            run(method, problem, Peers(W), 900)
        except (ValueError, Diverged) as error:
            told.append(re.sub(r"\d{4,}", "", str(error)))
    return told


def test_curvatures_are_those_of_all_agents_on_any_number_of_processes():
    job = partial(looking_at_curvatures, lazy_ring(N))
    alone = job()
    assert len(alone) == 4
    assert spawn(job, 2, timeout=30) == [alone, alone]
