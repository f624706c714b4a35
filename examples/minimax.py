"""Agents play a game: one x makes their mean loss small, one y makes it large.

min over x of max over y of h = |x|²/2 + xᵀA y - |y|²/2 + bᵀx + cᵀy, where each agent has A, b and c
of its own. A game is a bilevel problem whose lower loss is -h. Prints the distance to the saddle
point, which is known here, before and after.
"""

import torch
from torch import Tensor

from dsbo import SPARKLE, Dense, Problem, graphs, mixing, run, suggest

torch.manual_seed(0)
Game = tuple[Tensor, Tensor, Tensor]


def h(x: Tensor, y: Tensor, batch: Game) -> Tensor:
    A, b, c = (part.mean(0) for part in batch)
    return x @ x / 2 + x @ A @ y - y @ y / 2 + b @ x + c @ y


games = [(torch.randn(9, 3, 4), torch.randn(9, 3), torch.randn(9, 4)) for _ in range(6)]
problem = Problem.from_losses(
    upper=h, lower=lambda x, y, batch: -h(x, y, batch),
    x0=torch.ones(3), y0=torch.ones(4), upper_data=games, lower_data=games,
)  # fmt: skip
ring = Dense(mixing.lazy(mixing.metropolis(graphs.ring(6))))
method = suggest(SPARKLE, problem, ring).algorithm
x = run(method, problem, ring, steps=500).state.x
A, b, c = (torch.cat(part).mean(0) for part in zip(*games, strict=True))
saddle = (torch.eye(3) + A @ A.T).inverse() @ (-b - A @ c)
before, after = (float(torch.dist(row, saddle)) for row in (torch.ones(3), x.mean(0)))
print(f"distance to the saddle point: {before:.2f} before, {after:.2g} after")
assert after < 1e-3
