"""A transformer learns which texts are worth training on.

Four agents have texts of four tokens from three sources. A label says whether the first token is
one of the first three; source 0 tells the truth, the others guess. x weighs the sources, y is the
transformer; true texts judge. Prints the weights, which start equal.
"""

import torch
from torch import Tensor, func, nn

from dsbo import DSOBA, Dense, Problem, graphs, mixing, run

torch.manual_seed(0)
attention = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, dropout=0, batch_first=True)
reader = nn.Sequential(nn.Embedding(6, 8), attention, nn.Flatten(), nn.Linear(4 * 8, 2))


def texts(sources: int) -> tuple[Tensor, Tensor, Tensor]:
    tokens, source = torch.randint(6, (60, 4)), torch.randint(sources, (60,))
    truth, guess = (tokens[:, 0] < 3).long(), torch.randint(2, (60,))
    return tokens, torch.where(source == 0, truth, guess), source


def misfits(y: dict[str, Tensor], batch: tuple[Tensor, ...]) -> Tensor:
    told: Tensor = func.functional_call(reader, y, batch[:1])
    return nn.functional.cross_entropy(told, batch[1], reduction="none")


problem = Problem.from_losses(
    upper=lambda x, y, batch: misfits(y, batch).mean(),
    lower=lambda x, y, batch: (3 * x.softmax(0)[batch[2]] * misfits(y, batch)).mean(),
    x0=torch.zeros(3), y0=reader, batch=20, ridge=0.01,
    upper_data=[texts(sources=1) for _ in range(4)],
    lower_data=[texts(sources=3) for _ in range(4)],
)  # fmt: skip
ring = Dense(mixing.metropolis(graphs.ring(4)))
trace = run(DSOBA(alpha=1.0, beta=0.1, gamma=0.1), problem, ring, steps=200)
weights = trace.state.x.mean(0).softmax(0)
print("weights of the sources:", ", ".join(f"{weight:.2f}" for weight in weights))
assert weights[0] > 0.9
