"""Domain reweighting: the losses, the exact weighting, the plants, training from scratch."""

import math
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from torch.nn.functional import cross_entropy

from dsbo import DSOBA, Peers, graphs, mixing, run
from dsbo.network import spawn
from dsbo_book.experiments import corpora, domains
from dsbo_book.experiments.running import run_study
from dsbo_book.experiments.study import Study
from dsbo_book.problems import domain_weighting
from dsbo_book.problems.domains import initial_transformer, nats, transformer

TINY = {"dataset": "masc-sample", "agents": 4, "rows": 40, "scarce": 20, "width": 8, "batch": 4}
small = cache(partial(corpora.domains, split=0, **TINY))


def uneven(weights=None):
    """Two agents with 5 and 3 windows of three domains, dealt unevenly."""
    g = torch.Generator().manual_seed(0)
    codes = torch.randint(7, (8, 6), generator=g)
    domain = torch.tensor([0, 1, 1, 0, 2, 2, 2, 1])
    train = [(codes[:5], domain[:5]), (codes[5:], domain[5:])]
    problem = domain_weighting(
        train, codes[:6].view(2, 3, 6), codes[6:], ["a", "b", "c"], codes=7, width=4, tau=0.3,
        ridge=0.0, weights=weights,
    )  # fmt: skip
    return problem, codes, domain


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"target": "tweets"}, "no genre 'tweets' in masc-sample; give one of court"),
        ({"agents": 50}, "agents must be at most 40, two a genre, got 50"),
        ({"agents": 0}, "agents must be at least 1, got 0"),
        ({"weights": [0.5, 0.5]}, "weights must be 20 numbers, got 2"),
        ({"rows": 10**5}, "rows = 100000 leave 20 of .* and 0 to validate and test"),
        ({"scarce": 0}, "scarce = 0 .* leave 0 of"),
        ({"tau": -1.0}, "tau must be at least 0, got -1"),
    ],
)
def test_a_deal_that_leaves_nothing_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        corpora.domains(**{"split": 0, **TINY, **wrong})


def test_windows_that_do_not_fit_together_are_refused():
    codes, kinds = torch.arange(12).view(2, 6) % 7, torch.tensor([0, 1])
    told = {
        "train": [(codes, kinds)] * 2,
        "validation": codes.expand(2, 2, 6),
        "test": codes,
        "domains": ["a", "b"],
        "codes": 7,
    }
    assert domain_weighting(**told, width=4).agents == 2
    for wrong, says in (
        ({"codes": 6}, r"characters of train\[0\] must be among 0, …, 5, got 6"),
        ({"train": [(codes - 1, kinds)] * 2}, r"characters of train\[0\] .* got -1"),
        ({"train": [(codes, kinds + 1)] * 2}, r"domains of train\[0\] .* 0, …, 1, got 2"),
        ({"test": codes[:, 1:]}, r"train\[0\] has windows of 6, test of 5"),
        ({"domains": ["a", "a"]}, "names of their own, got"),
        ({"weights": [0.5]}, r"weights must be 2 numbers of at least 0, got \[0.5\]"),
        ({"weights": [1.2, -0.2]}, "weights must be 2 numbers of at least 0"),
    ):
        with pytest.raises(ValueError, match=says):
            domain_weighting(**told | wrong, width=4)


@pytest.mark.parametrize("weights", [None, [0.5, 0.2, 0.3]])
def test_the_mean_over_agents_is_the_weighted_sum_over_domains(weights):
    problem, codes, domain = uneven(weights)
    p = torch.tensor(weights or [1 / 3] * 3)
    loss = nats(problem.unpack(y=problem.y0), codes)
    want = sum(p[k] * loss[domain == k].mean() for k in range(3))
    rows = problem.x0.expand(2, -1), problem.y0.expand(2, -1)
    got = problem.g.value(*rows, problem.lower.full(problem.everyone())).mean()
    torch.testing.assert_close(got, want)


def test_the_upper_loss_is_that_of_the_target_and_a_penalty_on_uneven_weights():
    weights = [0.5, 0.2, 0.3]
    problem, codes, _ = uneven(weights)
    loss = float(nats(problem.unpack(y=problem.y0), codes[:6]).mean())
    penalty = sum(p * math.log(3 * p) for p in weights)
    x, y = problem.x0.expand(2, -1), problem.y0.expand(2, -1)
    assert problem.upper_loss(x, y) == pytest.approx(loss + 0.3 * penalty)
    row = problem.metrics(problem, x, y, True)
    assert row["validation_loss"] == pytest.approx(loss)
    assert [row[f"p {name}"] for name in "abc"] == pytest.approx(weights)
    assert row["test_loss"] == pytest.approx(
        float(nats(problem.unpack(y=problem.y0), codes[6:]).mean())
    )


def test_the_jacobian_product_compares_each_domain_with_the_mean():
    problem, codes, domain = uneven([0.5, 0.2, 0.3])
    z = torch.randn(problem.p, generator=torch.Generator().manual_seed(1))
    y = problem.y0.clone().requires_grad_()
    pull = []
    for k in range(3):
        loss = nats(problem.unpack(y=y), codes[domain == k]).mean()
        pull.append(float(torch.autograd.grad(loss, y)[0] @ z))
    p = problem.x0.softmax(0)
    want = p * (torch.tensor(pull) - p @ torch.tensor(pull))
    rows = (part.expand(2, -1) for part in (problem.x0, problem.y0))
    got = problem.g.jac(*rows, problem.lower.full(problem.everyone()), z.expand(2, -1)).mean(0)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)


def test_a_character_is_told_from_those_before_it_alone():
    y = initial_transformer(codes=7, T=5, width=8, seed=0)
    codes = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 0, 6]])
    logits = transformer(y, codes)
    torch.testing.assert_close(logits[0, :3], logits[1, :3])
    assert not torch.allclose(logits[0, 3], logits[1, 3])
    windows = torch.cat([codes, codes[:, :1]], dim=1)
    want = cross_entropy(logits[0], windows[0, 1:])
    torch.testing.assert_close(nats(y, windows)[0], want)


def test_two_agents_hold_a_genre_and_nobody_sees_what_tests():
    problem = small()
    windows, domain, _ = problem.lower.full(problem.everyone())
    assert (problem.agents, problem.d) == (4, 20)
    for k in range(20):
        assert sorted((domain == k).sum(1).tolist()) == [0, 0, 20, 20]
    assert len(set(map(tuple, windows[domain == 17].tolist()))) == 20, "the target is scarce"
    seen = {tuple(w) for w in windows.flatten(0, 1).tolist()}
    judged = problem.upper.full(problem.everyone()).flatten(0, 1).tolist()
    test = problem.unseen["test"].tolist()
    assert not seen & {tuple(w) for w in judged + test}
    assert not {tuple(w) for w in judged} & {tuple(w) for w in test}


def test_plants_are_more_of_the_target_and_its_characters_without_order():
    problem = corpora.domains(split=0, plants=True, **TINY)
    names = problem.settings["domains"]
    assert names == [*small().settings["domains"], "twin", "shuffled"]
    batch = problem.lower.full(problem.everyone())
    windows, domain, _ = getattr(batch, "filled", batch)
    twin, shuffled = (windows[domain == k] for k in (20, 21))
    assert twin.unique().tolist() == shuffled.unique().tolist()
    assert not torch.equal(twin, shuffled)
    torch.testing.assert_close(problem.unseen["test"], small().unseen["test"])


@pytest.mark.parametrize("fixed", [{"weights": [0.5, *[0.5 / 19] * 19]}, {"proportional": True}])
def test_with_given_weights_an_agent_holds_windows_in_proportion(fixed):
    problem = corpora.domains(split=0, **fixed, **TINY | {"agents": 1})
    _, domain, factor = problem.lower.full(problem.everyone())
    p = problem.x0.softmax(0)
    shares = domain[0].bincount(minlength=20) / domain.shape[1]
    torch.testing.assert_close(shares, p, rtol=0.05, atol=1e-3)
    torch.testing.assert_close(factor * p[domain], torch.ones(domain.shape), rtol=0.05, atol=0)


def test_mixtures_are_what_they_are_called():
    own = {"technical": 0.4, "fiction": 0.35, "spam": 0.25}
    made = {name: domains.mixture(name, own) for name in (*domains.FIXED, "D-SOBA")}
    assert made == {
        "uniform": pytest.approx([1 / 3] * 3),
        "half target": pytest.approx([2 / 3, 1 / 6, 1 / 6]),
        "target alone": [1.0, 0.0, 0.0],
        "same share": pytest.approx([0.4, 0.3, 0.3]),
        "D-SOBA": [0.4, 0.35, 0.25],
    }


def test_adam_is_pytorchs():
    problem = corpora.domains(split=0, weights=[1 / 20] * 20, **TINY | {"agents": 1})
    problem = replace(problem, lower=replace(problem.lower, size=None))
    trace = run(domains.Adam(1e-2), problem, steps=5, progress=False)
    y = problem.y0.clone().requires_grad_()
    adam, rows = torch.optim.Adam([y], lr=1e-2), problem.lower.full(problem.everyone())
    for _ in range(5):
        y.grad = problem.g.grad(problem.x0[None], y.detach()[None], rows)[1][0]
        adam.step()
    torch.testing.assert_close(trace.state.y[0], y.detach(), rtol=1e-4, atol=1e-5)


def test_training_from_scratch_with_learned_weights_is_a_study(tmp_path):
    cells = [{"method": m, "width": 8, "split": 0, "seed": 0} for m in ("D-SOBA", "uniform")]
    own = {f"{k}": 0.5 / 19 for k in range(19)} | {"technical": 0.5}
    task = partial(corpora.domains, **{k: TINY[k] for k in ("dataset", "rows", "scarce")})
    start = partial(domains.retraining, own=lambda _: own, task=task, steps=6, every=3)
    learned, uniform = run_study(Study(cells, start), tmp_path)
    assert domains.weights(learned)["twitter"] == pytest.approx(0.5, rel=1e-4)
    assert domains.weights(uniform)["twitter"] == pytest.approx(0.05, rel=1e-4)
    assert learned["test_loss"][-1] < learned["test_loss"][0]


def learner(network):
    trace = run(DSOBA(1.0, 0.5, 0.1, 0.2), small(), network, steps=6, every=3, progress=False)
    return [{k: v for k, v in row.items() if k != "seconds"} for row in trace.rows], trace.state


def test_four_processes_learn_the_weights_with_the_bits_of_one():
    job = partial(learner, Peers(mixing.metropolis(graphs.ring(4))))
    (rows, state), (rows_, state_) = spawn(job, 4, timeout=120)[0], job()
    assert all(map(torch.equal, state, state_))
    assert rows == rows_
    assert rows[-1]["p technical"] != rows[0]["p technical"]
