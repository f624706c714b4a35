"""One neighbour a round, and the exact average after log2 N of them."""

from collections import Counter

import numpy as np
import pytest
import torch
from cases import STEPS, quadratic

from dsbo import DSOBA, OnePeer, run


@pytest.mark.parametrize(("N", "exact"), [(2, True), (4, True), (16, True), (6, False)])
def test_a_period_averages_exactly_for_powers_of_two(N, exact):
    x = torch.randn(N, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sent = Counter()
    mix, rows = OnePeer(N).mixer(x, sent), x
    period = int(np.ceil(np.log2(N)))
    for k in range(period):
        assert float((rows - x.mean(0)).abs().max()) > 1e-3, f"already after {k} rounds"
        (rows,) = mix(rows)
    gap = float((rows - x.mean(0)).abs().max())
    assert gap < 1e-14 if exact else gap > 1e-3
    assert sent == {"rounds": period, "floats": period * N * 3}


def test_agent_i_hears_i_plus_a_power_of_two():
    first, second = OnePeer(4).rounds
    assert first[0].tolist() == [0.5, 0.5, 0, 0]
    assert second[1].tolist() == [0, 0.5, 0, 0.5]


def test_a_resumed_run_goes_on_with_its_neighbour(tmp_path):
    _, problem = quadratic(N=8, noise=0.5)
    network = OnePeer(8)
    whole = run(DSOBA(**STEPS), problem, network, steps=20, record=5)
    run(DSOBA(**STEPS), problem, network, steps=10, record=5, checkpoint=tmp_path)
    resumed = run(
        DSOBA(**STEPS), problem, network, steps=20, record=5, checkpoint=tmp_path, resume=True
    )
    assert all(torch.equal(a, b) for a, b in zip(whole.state, resumed.state, strict=True))


def test_a_lone_agent_is_refused():
    with pytest.raises(ValueError, match="give N >= 2"):
        OnePeer(1)
