import numpy as np
import pytest
import torch

from dsbo_book.data import split

LABELS = np.random.default_rng(7).integers(0, 10, size=1003)
EVERYONE = np.bincount(LABELS, minlength=10) / len(LABELS)
RULES = {
    "dirichlet 0.1": lambda labels, agents, seed: split.dirichlet(labels, agents, 0.1, seed),
    "dirichlet 100": lambda labels, agents, seed: split.dirichlet(labels, agents, 100, seed),
}


def shares(shards):
    """Class shares [agents, classes]."""
    return np.stack([np.bincount(LABELS[s], minlength=10) for s in shards]) / shards.shape[1]


@pytest.mark.parametrize("agents", [1, 2, 7, 10, 1003])
@pytest.mark.parametrize("rule", RULES)
def test_shards_are_equal_and_share_no_sample(rule, agents):
    shards = RULES[rule](LABELS, agents, 0)
    assert shards.shape == (agents, 1003 // agents)
    assert shards.dtype == np.int64
    assert len(set(shards.ravel()) & set(range(1003))) == shards.size


@pytest.mark.parametrize("rule", RULES)
def test_the_seed_decides_the_shards(rule):
    one, same, other = (RULES[rule](LABELS, 5, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    np.testing.assert_array_equal(one, RULES[rule](torch.from_numpy(LABELS), 5, 3))


def test_a_smaller_concentration_makes_agents_more_different():
    def spread(concentration):
        shards = [split.dirichlet(LABELS, 5, concentration, seed) for seed in range(20)]
        return np.mean([np.abs(shares(s) - EVERYONE).sum(axis=1).mean() for s in shards])

    spreads = [spread(c) for c in (0.01, 0.1, 1, 10, 1000)]
    assert (np.diff(spreads) < 0).all()
    assert spreads[0] > 1
    assert spreads[-1] < 0.3


def test_the_first_agent_gets_the_shares_it_drew():
    labels = np.repeat(np.arange(4), 1000)
    shard = split.dirichlet(labels, 10, 5.0, seed=1)[0]
    drawn = np.random.default_rng(1)
    for _ in range(4):
        drawn.permutation(1000)
    want = drawn.dirichlet(np.full(4, 5.0))
    got = np.bincount(labels[shard], minlength=4) / 400
    np.testing.assert_allclose(got, want, atol=0.1)


def test_dirichlet_copes_with_classes_that_run_out():
    labels = np.array([0] * 97 + [1, 2, 3])
    for seed in range(20):
        shards = split.dirichlet(labels, 4, 0.01, seed)
        assert sorted(shards.ravel()) == list(range(100))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.333, 1.0])
def test_exactly_the_stated_share_of_labels_is_spoiled(rate):
    before = LABELS.copy()
    new, spoiled = split.corrupt(LABELS, rate, classes=10, seed=0)
    assert spoiled.sum() == round(rate * len(LABELS))
    np.testing.assert_array_equal(new != LABELS, spoiled)
    np.testing.assert_array_equal(LABELS, before)
    assert set(new) <= set(range(10))
    tensor, mask = split.corrupt(torch.from_numpy(LABELS), rate, classes=10, seed=0)
    assert isinstance(tensor, torch.Tensor)
    assert mask.dtype == torch.bool
    np.testing.assert_array_equal(tensor, new)
    np.testing.assert_array_equal(mask, spoiled)


def test_each_other_class_is_equally_likely():
    labels = np.full(90_000, 3)
    new, _ = split.corrupt(labels, 1.0, classes=10, seed=0)
    counts = np.bincount(new, minlength=10)
    assert counts[3] == 0
    # z = (count - 10 000) / sqrt(90 000 · 1/9 · 8/9): 9 classes within 5 sigma fail by 5e-6
    assert np.abs(np.delete(counts, 3) - 10_000).max() < 5 * 94.3


NAN, SIZE = float("nan"), r"agents = .*; give an integer from 1 to the 1003"
REFUSED = [
    *((rule, LABELS, n, 0, SIZE) for rule in RULES.values() for n in (0, -1, 1004, 2.0)),
    (split.dirichlet, np.ones((2, 2), int), 1, 1.0, 0, r"labels are .*; give integers \[n\]"),
    (split.dirichlet, np.ones(3), 1, 1.0, 0, r"labels are .*; give integers \[n\]"),
    *((split.dirichlet, LABELS, 2, c, 0, "concentration") for c in (0, -1, NAN, float("inf"))),
    *((split.corrupt, LABELS, rate, 10, 0, "rate") for rate in (-0.1, 1.1, NAN)),
    *((split.corrupt, LABELS, 0.1, classes, 0, "classes") for classes in (1, 0, 2.5)),
    (split.corrupt, LABELS, 0.1, 5, 0, "labels run from 0 to 9, not 0 to 4"),
]


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_split_or_spoiled_is_refused(case):
    function, *given, message = case
    with pytest.raises(ValueError, match=message):
        function(*given)
