"""One peer a round: the exact average after a cycle, one message an agent, the same on resuming."""

from collections import Counter

import numpy as np
import pytest
import torch
from cases import quadratic

from dsbo import DSOBA, SPARKLE, OnePeer, PerLevel, run

STEPS = {"alpha": 0.05, "beta": 0.08, "gamma": 0.08}
TRACKED = dict.fromkeys(("upper", "lower", "auxiliary"), "ATC-GT")


@pytest.mark.parametrize("N", [2, 4, 8, 32])
def test_a_cycle_averages_a_power_of_two_exactly(N):
    x = torch.randn(N, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    network, sent = OnePeer(N), Counter()
    mix, now = network.mixer(x, sent), x
    for _ in network.cycle:
        (now,) = mix(now)
    assert sent["rounds"] == np.log2(N)
    assert sent["floats"] == N * 3 * np.log2(N)
    np.testing.assert_allclose(now, x.mean(0).expand(N, 3), rtol=0, atol=1e-14)


def test_agents_listen_backwards_around_the_circle_in_an_order_that_changes():
    orders = set()
    for cycle in range(20):
        sent = Counter(rounds=2 * cycle)
        mix = OnePeer(4).mixer(torch.zeros(1), sent)
        heard = [int(row[0].argmax()) for row in (mix(torch.eye(4))[0][[3]][:, :3] for _ in "ab")]
        orders.add(tuple(heard))
    assert orders == {(2, 1), (1, 2)}


def test_tracking_over_one_peer_is_exact_and_dsoba_is_not():
    _, problem = quadratic(N=8)
    want = problem.solution()
    found = [
        run(method, problem, OnePeer(8), steps=1500, every=1500).state
        for method in (SPARKLE(**STEPS, **TRACKED), DSOBA(**STEPS))
    ]
    errors = [float((s.x - want.x).abs().max()) for s in found]
    assert errors[0] < 1e-9
    assert errors[1] > 1e-3


def test_resuming_in_the_middle_of_a_cycle_goes_on_with_its_peer(tmp_path):
    _, problem = quadratic(N=8, noise=0.5)
    method = DSOBA(**STEPS)
    whole = run(method, problem, OnePeer(8), steps=12)
    run(method, problem, OnePeer(8), steps=7, every=1, checkpoint=tmp_path)
    again = run(method, problem, OnePeer(8), steps=12, every=1, checkpoint=tmp_path, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.state, again.state, strict=True))


@pytest.mark.parametrize("method", [SPARKLE(**STEPS), SPARKLE(**STEPS, upper="EXTRA")])
def test_methods_for_weights_that_stay_refuse_others(method):
    with pytest.raises(ValueError, match=r"weights that stay.*use ATC-GT"):
        run(method, quadratic(N=8)[1], OnePeer(8), steps=1)


def test_of_each_level_all_peers_are_met(monkeypatch):
    """The rounds of a level count for it alone, whatever the other levels do in between."""
    met = []
    sound = OnePeer.weights

    def weights(self, like):
        of_round = sound(self, like)
        return lambda number: met.append((id(self), number)) or of_round(number)

    monkeypatch.setattr(OnePeer, "weights", weights)
    network = PerLevel(OnePeer(8), OnePeer(8), OnePeer(8))
    run(SPARKLE(**STEPS, **TRACKED), quadratic(N=8)[1], network, steps=6)
    for level in network:
        assert [number for own, number in met if own == id(level)] == list(range(12))


@pytest.mark.parametrize(("N", "error"), [(1, ValueError), (True, TypeError), (4.0, TypeError)])
def test_agents_without_peers_are_refused(N, error):
    with pytest.raises(error, match="N"):
        OnePeer(N)
