"""A CNN finds the wrong labels it was given.

Four agents have pictures of bars, upright or level, a quarter of them with the wrong label. x holds
a weight for every training picture, y is the CNN; clean pictures judge. Prints the AUC of the
weights: how often a right label weighs more than a wrong one.
"""

import torch
from torch import Tensor, func, nn

from dsbo import DSOBA, Dense, Problem, graphs, mixing, run

torch.manual_seed(0)
cnn = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, 2))


def pictures(first: int) -> tuple[Tensor, Tensor, Tensor]:
    labels, bars = torch.randint(2, (40,)), torch.eye(6)[torch.randint(6, (40,))]
    images = torch.where(labels[:, None, None] == 0, bars[:, :, None], bars[:, None, :])[:, None]
    return images + 0.1 * torch.randn(40, 1, 6, 6), labels, torch.arange(first, first + 40)


def misfits(y: dict[str, Tensor], batch: tuple[Tensor, ...]) -> Tensor:
    told: Tensor = func.functional_call(cnn, y, batch[:1])
    return nn.functional.cross_entropy(told, batch[1], reduction="none")


clean, right = ([pictures(first) for first in range(0, 160, 40)] for _ in range(2))
wrong = torch.rand(160) < 0.25
given = [(images, (labels + wrong[own]) % 2, own) for images, labels, own in right]
problem = Problem.from_losses(
    upper=lambda x, y, batch: misfits(y, batch).mean(),
    lower=lambda x, y, batch: (x[batch[2]].sigmoid() * misfits(y, batch)).mean(),
    x0=torch.zeros(160), y0=cnn, upper_data=clean, lower_data=given, batch=20, ridge=0.001,
)  # fmt: skip
ring = Dense(mixing.metropolis(graphs.ring(4)))
x = run(DSOBA(alpha=30.0, beta=0.5, gamma=0.5), problem, ring, steps=400).state.x.mean(0)
auc = float((x[~wrong][:, None] > x[wrong]).float().mean())
print(f"AUC of the weights: {auc:.2f}")
assert auc > 0.9
