"""Actor and critic: agents with rewards of their own learn one policy for one decision process.

x ``[S, A]`` are the logits of the policy π = softmax(x), y ``[S]`` is a critic's estimate of its
value. With P_π and r_i^π the policy's transitions and agent i's mean reward, A = I - γ P_π,

    f_i(x, y) = -μ_iᵀ y
    g_i(x, y) = ½⟨A y - r_i^π, A' y - r_i^π⟩ + λ/2 ‖y‖²

A' is A where the process is known. Where its transitions are drawn, A and A' are of two models
drawn independently; of a single one the loss would be biased by its variance. The problem whose
critic Qiu et al. 2023 call quadratically regularised and linear. Chapter exp-actor-critic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dsbo.checked import positive, real, whole
from dsbo.keys import Randoms
from dsbo.problems import Problem

GRIDS = {"lake": "FrozenLakeEnv", "cliff": "CliffWalkingEnv"}


class MDP(NamedTuple):
    """A Markov decision process of S states and A actions with the rewards of N agents.

    Parameters
    ----------
    P : Tensor
        Probabilities ``[S, A, S]`` of the next state.
    rewards : Tensor
        ``[N, S, A]``.
    start : Tensor
        Probabilities ``[N, S]`` of the first state, for each agent.
    discount : float
        γ, in [0, 1).
    """

    P: Tensor
    rewards: Tensor
    start: Tensor
    discount: float = 0.9

    def to(self, device: torch.device) -> MDP:
        """Return the process with its tensors on ``device``."""
        P, rewards, start = (part.to(device) for part in (self.P, self.rewards, self.start))
        return MDP(P, rewards, start, self.discount)

    def under(self, policy: Tensor, rewards: Tensor) -> tuple[Tensor, Tensor]:
        """Return I - γ P_π ``[S, S]`` and r^π ``[…, S]`` of a policy and rewards ``[…, S, A]``."""
        moves = (policy[..., None] * self.P).sum(1)
        return _unit(moves) - self.discount * moves, (policy * rewards).sum(-1)

    def J(self, policy: Tensor) -> float:  # noqa: N802
        """Return the mean over agents of the discounted reward from its start, exactly."""
        A, r = self.under(policy, self.rewards)
        return float((self.start.mean(0) * torch.linalg.solve(A, r.mean(0))).sum())

    def best(self, reward: Tensor | None = None) -> Tensor:
        """Return the best policy ``[S, A]`` for a reward ``[S, A]``, by default the agents' mean.

        By value iteration, to the last digit.
        """
        reward = self.rewards.mean(0) if reward is None else reward
        q = reward
        for _ in range(math.ceil(math.log(1e-16) / math.log(max(self.discount, 1e-16)))):
            q = reward + self.discount * self.P @ q.amax(1)
        return greedy(q)


def _unit(A: Tensor) -> Tensor:
    return torch.eye(len(A), dtype=A.dtype, device=A.device)


def greedy(scores: Tensor) -> Tensor:
    """Return the policy that takes the action of the highest of its ``scores [S, A]``."""
    return one_hot(scores.argmax(1), scores.shape[1]).to(scores)


def garnet(seed: int, agents: int = 8, states: int = 20, actions: int = 4) -> MDP:
    """Return a random process: three next states each, a tenth of an agent's rewards not zero."""
    for count, name, least in (
        (agents, "agents", 1),
        (states, "states", 3),
        (actions, "actions", 1),
    ):
        whole(count, name, least)
    rng = np.random.default_rng(seed)
    P, shape = np.zeros((states, actions, states)), (agents, states, actions)
    for s, a in np.ndindex(states, actions):
        P[s, a, rng.choice(states, 3, replace=False)] = rng.dirichlet([1.0, 1.0, 1.0])
    rewards = rng.standard_normal(shape) * (rng.random(shape) < 0.1)
    start = np.full((agents, states), 1 / states)
    return MDP(torch.from_numpy(P), torch.from_numpy(rewards), torch.from_numpy(start))


def spread(mdp: MDP, heterogeneity: float) -> MDP:
    """Return the process with rewards so many times as far from the agents' mean."""
    mean = mdp.rewards.mean(0)
    return mdp._replace(rewards=mean + heterogeneity * (mdp.rewards - mean))


def gridworld(name: str, seed: int, agents: int = 8, home: float = 1.0) -> MDP:
    """Return a grid world of gymnasium, where each agent is also paid for entering a cell.

    The others pay for it, so that the agents' mean reward is the grid's own, in units of the
    largest. The first cell is uniform on those that a policy can be in before the end.

    Parameters
    ----------
    name : str
        One of `GRIDS`.
    seed : int
        Of the agents' cells.
    agents : int
        Number N of agents.
    home : float
        What an agent is paid.

    Raises
    ------
    ValueError
        If there is no such grid, or it has fewer cells than agents.
    """
    if name not in GRIDS:
        raise ValueError(f"no grid {name!r}; give one of {', '.join(GRIDS)}")
    from gymnasium.envs import toy_text  # which nothing else needs

    table = getattr(toy_text, GRIDS[name])().P
    S, A = len(table), len(table[0])
    P, reward, over, most = np.zeros((S, A, S)), np.zeros((S, A)), np.zeros(S, bool), 0.0
    for s, a in np.ndindex(S, A):
        for chance, following, paid, done in table[s][a]:
            P[s, a, following] += chance
            reward[s, a] += chance * paid
            over[following] |= done
            most = max(most, abs(paid))
    P[over], reward[over] = np.eye(S)[over][:, None], 0
    inside = (P[~over].sum((0, 1)) > 0) & ~over
    if not 1 <= agents <= inside.sum():
        raise ValueError(f"{name} has cells for 1 to {inside.sum()} agents, got {agents}")
    homes = np.random.default_rng(seed).choice(np.flatnonzero(inside), agents, replace=False)
    own = home * P[:, :, homes].transpose(2, 0, 1)
    rewards = reward / most + own - own.mean(0)
    start = np.tile(inside / inside.sum(), (agents, 1))
    return MDP(torch.from_numpy(P), torch.from_numpy(rewards), torch.from_numpy(start))


def actor_critic(
    mdp: MDP,
    ridge: float = 3e-4,
    samples: int | None = None,
    models: int = 2,
    settings: dict[str, Any] | None = None,
) -> Problem:
    """Return the problem of finding the agents' common policy; it starts at the uniform one.

    A trace records ``return``, J of π = softmax(x̄); ``greedy``, that of its most likely actions;
    ``left``, the share of the way from the uniform policy to the best one that J has still to go,
    0 where there is none;
    and ``distance``, ‖ȳ - y*(x̄)‖, or the root of its mean square where critics are personal.

    Parameters
    ----------
    mdp : MDP
        The process; its dtype is the run's.
    ridge : float
        λ, positive.
    samples : int, optional
        Next states that each agent draws of every state and action in an iteration, for each of
        the models; by default it knows their probabilities.
    models : int
        2, or 1 for the biased loss of a single model.
    settings : dict, optional
        What a trace should say about the process.

    Raises
    ------
    ValueError, TypeError
        If the parts of the process do not fit together or a setting is out of range.
    """
    n, S, A = mdp.rewards.shape
    parts = {"P": (S, A, S), "rewards": (n, S, A), "start": (n, S)}
    for name, shape in parts.items():
        part = getattr(mdp, name)
        if part.shape != shape or part.dtype != mdp.P.dtype:
            raise ValueError(
                f"{name} is {part.dtype} {[*part.shape]}; beside the others it must be "
                f"{mdp.P.dtype} {[*shape]}"
            )
    if real(mdp.discount, "discount", least=0) >= 1:
        raise ValueError(f"discount must be in [0, 1), got {mdp.discount}")
    ridge = positive(ridge, "ridge")
    if samples is not None:
        samples, models = whole(samples, "samples"), whole(models, "models")
        if models > 2:
            raise ValueError(f"models must be 1 or 2, got {models}")
    problem = Problem.from_losses(
        lambda _, y, start: -(start[0] @ y),
        partial(_critic, mdp.discount),
        x0=mdp.P.new_zeros(S, A),
        y0=mdp.P.new_zeros(S),
        upper_data=list(mdp.start[:, None]),
        lower_data=[(mdp.P[None], reward[None]) for reward in mdp.rewards],
        ridge=ridge / 2,
        metrics=partial(_metrics, mdp),
    )
    told = {"name": "ActorCritic", "agents": n, "ridge": ridge, "samples": samples}
    told |= {"models": models, "discount": mdp.discount, **(settings or {})}
    lower = Transitions(problem.lower, mdp.P, samples, models) if samples else problem.lower
    return replace(problem, lower=lower, settings=told, exact=partial(_solution, mdp, ridge))


def _critic(discount: float, x: Tensor, y: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    P, reward = batch
    errors = y - (torch.softmax(x, -1) * (reward + discount * P @ y)).sum(-1)
    loss: Tensor = errors[0] @ errors[-1] / 2
    return loss


@dataclass(frozen=True, eq=False)
class Transitions:
    """Models made of drawn next states.

    Parameters
    ----------
    exact : Sampler
        What gives the process itself and the agents' rewards.
    P : Tensor
        ``[S, A, S]``.
    samples, models : int
        Next states of every state and action in a model, and models in a batch.
    """

    exact: Any
    P: Tensor
    samples: int
    models: int

    def numbers(self, randoms: Randoms, agents: Tensor, K: int) -> Tensor:  # noqa: ARG002
        """Return numbers ``[T, K, n, models, samples, S, A]`` of 0, …, 2³¹ - 1."""
        shape = K, self.models, self.samples, *self.P.shape[:2]
        drawn = torch.from_numpy(randoms.integers(2**31, math.prod(shape)))
        return drawn.view(*drawn.shape[:2], *shape).transpose(1, 2).to(self.P.device)

    def batch(self, numbers: Tensor, agents: Tensor) -> tuple[Tensor, Tensor]:
        """Return models ``[n, models, S, A, S]`` and the rewards."""
        places = (numbers[..., None].to(self.P) + 0.5) / 2**31
        following = (places > self.P.cumsum(-1)[..., :-1]).sum(-1)
        P = one_hot(following, self.P.shape[-1]).to(self.P).mean(2)
        _, rewards = self.exact.full(agents)
        return P, rewards.expand(-1, self.models, -1, -1)

    def full(self, agents: Tensor) -> tuple[Tensor, Tensor]:
        """Return the process itself as one model ``[n, 1, S, A, S]``, and the rewards."""
        known: tuple[Tensor, Tensor] = self.exact.full(agents)
        return known

    def to(self, device: torch.device) -> Transitions:
        """Return the sampler with its process on ``device``."""
        return replace(self, exact=self.exact.to(device), P=self.P.to(device))


def _solution(
    mdp: MDP, ridge: float, problem: Problem, x: Tensor, shared: bool = True
) -> tuple[Tensor, Tensor]:
    mdp = mdp.to(x.device)
    A, r = mdp.under(torch.softmax(problem.unpack(x=x), -1), mdp.rewards)
    H = A.T @ A + ridge * _unit(A)
    y, z = torch.linalg.solve(H, r @ A, left=False), torch.linalg.solve(H, -mdp.start, left=False)
    return (y.mean(0), z.mean(0)) if shared else (y, z)


def _metrics(mdp: MDP, problem: Problem, x: Tensor, y: Tensor, shared: bool) -> dict[str, float]:
    mdp = mdp.to(x.device)
    policies = (torch.softmax(problem.unpack(x=row), -1) for row in (problem.x0, x.mean(0)))
    first, now = (mdp.J(policy) for policy in policies)
    way = mdp.J(mdp.best()) - first
    y_star, _ = problem.lower_solution(x.mean(0), shared)
    gap = y_star - (y.mean(0) if shared else y)
    return {
        "return": now,
        "greedy": mdp.J(greedy(problem.unpack(x=x.mean(0)))),
        "left": 1 - (now - first) / way if way else 0.0,
        "distance": float(gap.square().sum(-1).mean().sqrt()),
    }
