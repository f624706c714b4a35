"""A small network learns how to regularise.

Five agents have few equations about one smooth signal of 30 numbers. x is a module that tells how
rough a signal is, by a filter of its own and a weight; y is the signal. Other equations judge.
Prints how far the signal found is from the true one, with the module as it starts and as learned.
"""

import torch
from torch import Tensor, func, nn

from dsbo import DSOBA, Dense, Problem, graphs, mixing, run, suggest

torch.manual_seed(0)
rough, signal = nn.Conv1d(1, 2, kernel_size=3, bias=False), torch.sin(torch.linspace(0, 6, 30))


def equations() -> tuple[Tensor, Tensor]:
    a = torch.randn(5, 30)
    return a, a @ signal + 0.1 * torch.randn(5)


def misfit(y: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (batch[0] @ y - batch[1]).square().mean()


def lower(x: dict[str, Tensor], y: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    roughness: Tensor = func.functional_call(rough, x, (y[None],))
    return misfit(y, batch) + roughness.square().sum()


problem = Problem.from_losses(
    lambda x, y, batch: misfit(y, batch), lower, x0=rough, y0=torch.zeros(30), ridge=0.01,
    upper_data=[equations() for _ in range(5)],
    lower_data=[equations() for _ in range(5)],
)  # fmt: skip
ring = Dense(mixing.metropolis(graphs.ring(5)))
learned = suggest(DSOBA, problem, ring).algorithm
still = DSOBA(alpha=0.0, beta=learned.beta, gamma=learned.gamma)
found = (run(method, problem, ring, steps=500).state.y.mean(0) for method in (still, learned))
before, after = (float((y - signal).norm()) for y in found)
print(f"distance to the signal: {before:.2f} as it starts, {after:.2f} as learned")
assert after < before / 4
