"""Agents with rewards of their own learn one policy.

Six agents live in one world of ten states and three actions, and are paid for different things. x
is the policy's logits, the actor, y the value of the mean reward, the critic; nobody tells anybody
what it is paid. Prints what the policy is worth before and after, and the best by value iteration.
"""

import torch
from torch import Tensor

from dsbo import SPARKLE, Dense, Problem, graphs, mixing, run, suggest

torch.manual_seed(0)
P, rewards = torch.randn(10, 3, 10).mul(2).softmax(-1), torch.randn(6, 10, 3)


def critic(x: Tensor, y: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    moves, reward = (part[0] for part in batch)
    error = y - (x.softmax(-1) * (reward + 0.9 * moves @ y)).sum(-1)
    return error @ error / 2


problem = Problem.from_losses(
    upper=lambda x, y, batch: -y.mean(), lower=critic, ridge=0.001,
    x0=torch.zeros(10, 3), y0=torch.zeros(10), upper_data=[torch.zeros(1)] * 6,
    lower_data=[(P[None], own[None]) for own in rewards],
)  # fmt: skip
ring = Dense(mixing.lazy(mixing.metropolis(graphs.ring(6))))
method = suggest(SPARKLE, problem, ring).algorithm
x = run(method, problem, ring, steps=1000).state.x.mean(0).view(10, 3)
before, after, best = torch.zeros(3, 10)
for _ in range(200):
    q = [rewards.mean(0) + 0.9 * P @ value for value in (before, after, best)]
    before, after, best = q[0].mean(1), (x.softmax(1) * q[1]).sum(1), q[2].amax(1)
print(f"return: {before.mean():.2f} before, {after.mean():.2f} after, {best.mean():.2f} the best")
assert (best - after).mean() < 0.05 * (best - before).mean()
