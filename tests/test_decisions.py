"""Actors and critics: losses and derivatives against formulas, returns against sums of rewards."""

import numpy as np
import pytest
import torch

from dsbo import DSOBA, hypergrad, run
from dsbo.world import Draws
from dsbo_book.experiments import networks
from dsbo_book.problems import actor_critic
from dsbo_book.problems.decisions import garnet, greedy, gridworld, spread

WORLD = garnet(3, agents=3, states=6, actions=2)
STARTS = torch.softmax(torch.arange(18.0, dtype=torch.float64).view(3, 6).sin(), 1)
APART = WORLD._replace(start=STARTS)


def logits(mdp, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(mdp.P[..., 0].numel(), generator=rng, dtype=torch.float64)


def at(problem, x, y):
    """Both levels at one point of all agents, with all their data."""
    rows = x.expand(problem.agents, -1), y.expand(problem.agents, -1)
    everyone = problem.everyone()
    return problem.f, problem.g, *rows, problem.upper.full(everyone), problem.lower.full(everyone)


def test_the_losses_are_those_of_the_formula_in_loops():
    problem = actor_critic(APART, ridge=0.3)
    x, y = logits(APART), logits(APART, 1)[:6]
    f, g, *rows, xi, zeta = at(problem, x, y)
    pi = np.exp(x.view(6, 2).numpy())
    pi /= pi.sum(1, keepdims=True)
    P, rewards, value = APART.P.numpy(), APART.rewards.numpy(), y.numpy()
    for i in range(3):
        loss = 0.15 * sum(value**2)
        for s in range(6):
            missed = value[s]
            for a in range(2):
                ahead = sum(P[s, a, t] * value[t] for t in range(6))
                missed -= pi[s, a] * (rewards[i, s, a] + 0.9 * ahead)
            loss += missed**2 / 2
        assert float(g.value(*rows, zeta)[i]) == pytest.approx(loss, rel=1e-13)
        earned = sum(STARTS[i, s] * value[s] for s in range(6))
        assert float(f.value(*rows, xi)[i]) == pytest.approx(-float(earned), rel=1e-13)


def test_the_lower_solution_and_the_hypergradient_are_exact():
    problem, x = actor_critic(APART), logits(APART)
    y, _ = problem.lower_solution(x)
    _, g, *rows, _, zeta = at(problem, x, y)
    assert float(g.grad(*rows, zeta)[1].mean(0).abs().max()) < 1e-13
    dense = hypergrad.exact(*at(problem, x, y))
    torch.testing.assert_close(problem.hypergradient(x), dense, rtol=0, atol=1e-12)
    own, _ = problem.lower_solution(x, shared=False)
    grads = g.grad(rows[0], own, zeta)[1]
    assert float(grads.abs().max()) < 1e-13
    torch.testing.assert_close(own.mean(0), y, rtol=0, atol=1e-12)


def test_shared_and_personal_critics_have_one_gradient_if_all_start_alike():
    x = logits(WORLD)
    alike, apart = actor_critic(WORLD), actor_critic(APART)
    torch.testing.assert_close(
        alike.hypergradient(x), alike.hypergradient(x, shared=False), rtol=0, atol=1e-13
    )
    gap = apart.hypergradient(x) - apart.hypergradient(x, shared=False)
    assert float(gap.abs().max()) > 1e-3


def test_a_return_is_the_discounted_sum_of_rewards():
    policy = torch.softmax(logits(APART).view(6, 2), -1)
    moves, paid = (policy[..., None] * APART.P).sum(1), (policy * APART.rewards.mean(0)).sum(1)
    places, total = STARTS.mean(0), 0.0
    for k in range(400):
        total += 0.9**k * float(places @ paid)
        places = places @ moves
    assert APART.J(policy) == pytest.approx(total, rel=1e-12)


def test_the_best_policy_beats_every_other_that_takes_one_action_a_state():
    each = [torch.eye(2, dtype=torch.float64)[[int(c) for c in f"{k:06b}"]] for k in range(64)]
    assert WORLD.J(WORLD.best()) == max(WORLD.J(policy) for policy in each)
    own = WORLD._replace(rewards=WORLD.rewards[:1])
    assert own.J(WORLD.best(WORLD.rewards[0])) == max(own.J(policy) for policy in each)


def test_two_models_are_unbiased_and_one_is_not():
    x, y = logits(WORLD), logits(WORLD, 1)[:6] * 5
    scores = {}
    for models in (1, 2):
        problem = actor_critic(WORLD, samples=2, models=models)
        _, g, *rows, _, zeta = at(problem, x, y)
        draws = Draws(0, problem.everyone(), problem.upper, problem.lower)
        seen = torch.stack([g.grad(*rows, draws.zeta(t))[1] for t in range(2000)])
        error = seen.std(0) / 2000**0.5
        scores[models] = float(((seen.mean(0) - g.grad(*rows, zeta)[1]) / error).abs().max())
    assert scores[2] < 5 < scores[1]


def test_drawn_next_states_have_the_frequencies_of_the_process():
    problem = actor_critic(WORLD, samples=50)
    draws = Draws(0, problem.everyone(), problem.upper, problem.lower)
    P = torch.stack([draws.zeta(t)[0] for t in range(40)])
    assert P.shape == (40, 3, 2, 6, 2, 6)
    error = (P.mean((0, 1, 2)) - WORLD.P) / (WORLD.P * (1 - WORLD.P) / 12_000 + 1e-12).sqrt()
    assert float(error.abs().max()) < 5
    assert float(P.sum(-1).sub(1).abs().max()) < 1e-12


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: garnet(0, states=2), "states must be at least 3, got 2"),
        (lambda: garnet(0, agents=0), "agents must be at least 1, got 0"),
        (lambda: gridworld("pond", 0), "no grid 'pond'; give one of lake, cliff"),
        (lambda: gridworld("lake", 0, agents=12), "lake has cells for 1 to 11 agents, got 12"),
        (lambda: actor_critic(WORLD, ridge=0.0), "ridge must be positive, got 0"),
        (lambda: actor_critic(WORLD, samples=0), "samples must be at least 1, got 0"),
        (lambda: actor_critic(WORLD, samples=1, models=3), "models must be 1 or 2, got 3"),
        (lambda: actor_critic(WORLD._replace(discount=1.0)), r"discount must be in \[0, 1\), got"),
        (
            lambda: actor_critic(WORLD._replace(start=STARTS[:, :5])),
            r"start is .*\[3, 5\]; .* \[3, 6",
        ),
        (lambda: actor_critic(WORLD._replace(rewards=WORLD.rewards.float())), "rewards is .*32"),
    ],
)
def test_a_process_or_a_setting_that_is_none_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    "mdp",
    [garnet(0, agents=3, states=6, actions=1), WORLD._replace(discount=0.0)],
    ids=["one action", "no discount"],
)
def test_a_run_goes_on_where_there_is_no_way_to_go(mdp):
    rows = run(DSOBA(1.0, 0.3, 0.3), actor_critic(mdp), networks.regular("complete", 3), 2).rows
    assert rows[0]["left"] == (mdp.discount == 0)


def test_heterogeneity_keeps_the_mean_reward():
    alike, twice = spread(WORLD, 0.0), spread(WORLD, 2.0)
    assert float((alike.rewards - WORLD.rewards.mean(0)).abs().max()) < 1e-15
    torch.testing.assert_close(twice.rewards.mean(0), WORLD.rewards.mean(0))
    torch.testing.assert_close(twice.rewards - alike.rewards, 2 * (WORLD.rewards - alike.rewards))


@pytest.mark.parametrize(("name", "states", "best"), [("lake", 16, 1.0), ("cliff", 48, 0.0)])
def test_a_grid_is_that_of_gymnasium_and_homes_cost_nothing_on_the_mean(name, states, best):
    mdp = gridworld(name, seed=1)
    assert mdp.P.shape == (states, 4, states)
    torch.testing.assert_close(mdp.P.sum(-1), torch.ones(states, 4, dtype=torch.float64))
    mean = mdp.rewards.mean(0)
    assert float(mean.abs().max()) == pytest.approx({"cliff": 1, "lake": 1 / 3}[name])
    ends = mdp.P[range(states), 0, range(states)] == 1
    assert mdp.rewards[:, states - 1].abs().max() == 0
    assert ends[states - 1]
    assert -1 / (1 - 0.9) < mdp.J(mdp.best()) < best
    assert len({tuple(own.flatten().tolist()) for own in mdp.rewards}) == 8


def test_a_run_says_how_far_the_policy_is_and_goes_on():
    problem = actor_critic(WORLD)
    trace = run(DSOBA(3.0, 0.3, 0.3), problem, networks.regular("complete", 3), 300, every=300)
    first, last = trace.rows
    assert first["left"] == 1
    assert last["left"] < 0.5
    share = (last["return"] - first["return"]) / (WORLD.J(WORLD.best()) - first["return"])
    assert last["left"] == pytest.approx(1 - share)
    assert last["greedy"] == WORLD.J(greedy(trace.state.x.mean(0).view(6, 2)))
    y, _ = problem.lower_solution(trace.state.x.mean(0))
    assert last["distance"] == pytest.approx(float((y - trace.state.y.mean(0)).norm()))
