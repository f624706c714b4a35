"""Agents with few and with many rows tune one penalty a feature.

Eight agents have 5 to 75 rows of a regression in which only the first two of twelve features
matter. Each counts as much as another. x is the logarithm of a penalty for each feature, y the
coefficients. Prints the loss on the agents' other rows before and after, and the penalties.
"""

import torch
from torch import Tensor

from dsbo import DSOBA, Dense, Problem, graphs, mixing, projections, run, suggest

torch.manual_seed(0)


def rows(count: int) -> tuple[Tensor, Tensor]:
    a = torch.randn(count, 12)
    return a, a[:, 0] - a[:, 1] + 0.5 * torch.randn(count)


def misfit(y: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (batch[0] @ y - batch[1]).square().mean()


problem = Problem.from_losses(
    upper=lambda x, y, batch: misfit(y, batch),
    lower=lambda x, y, batch: misfit(y, batch) + 0.1 * x.exp() @ y.square(),
    x0=torch.zeros(12), y0=torch.zeros(12), batch=5,
    upper_data=[rows(5 + 10 * i) for i in range(8)],
    lower_data=[rows(75 - 10 * i) for i in range(8)],
)  # fmt: skip
ring = Dense(mixing.metropolis(graphs.ring(8)))
method = suggest(DSOBA, problem, ring).algorithm
trace = run(method, problem, ring, steps=1000, project=projections.Box(-4, 4))
before, after = trace["upper_loss"][[0, -1]]
penalties = 0.1 * trace.state.x.mean(0).exp()
print(f"loss on other rows: {before:.2f} before, {after:.2f} after; penalties {penalties}")
assert after < before / 2
assert penalties[:2].max() < penalties[2:].mean()
