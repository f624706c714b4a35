"""Agents share a network's first layer, and each has a head of its own.

Six agents see curves of the same two hidden numbers, each another mixture of them. x is the layer
that all share, y an agent's head, which DIAMOND does not mix; each agent judges on other points of
its own curve. Prints the loss on these before and after.
"""

import torch
from torch import Tensor, func, nn

from dsbo import DIAMOND, Dense, Problem, graphs, mixing, run

torch.manual_seed(0)
layer = nn.Sequential(nn.Linear(10, 2), nn.Tanh())
hidden = torch.randn(10, 2) / 10**0.5


def points(head: Tensor) -> tuple[Tensor, Tensor]:
    a = torch.randn(30, 10)
    return a, torch.tanh(a @ hidden) @ head + 0.1 * torch.randn(30)


def misfit(x: dict[str, Tensor], y: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    features: Tensor = func.functional_call(layer, x, batch[:1])
    return (features @ y - batch[1]).square().mean()


heads = torch.randn(6, 2)
problem = Problem.from_losses(
    upper=misfit, lower=misfit, x0=layer, y0=torch.zeros(2), batch=15, ridge=0.01,
    upper_data=[points(head) for head in heads],
    lower_data=[points(head) for head in heads],
)  # fmt: skip
ring = Dense(mixing.metropolis(graphs.ring(6)))
method = DIAMOND(alpha=0.1, beta=0.5, eta=0.5, gamma=0.5, K=3, L=1.5)
trace = run(method, problem, ring, steps=300)
before, after = trace["upper_loss"][[0, -1]]
print(f"loss on other points: {before:.3f} before, {after:.3f} after")
assert after < before / 4
