"""A language model learns which texts to train on: put in your own texts, tokenizer and model.

Four agents share three sources; x holds a logit for each, y the model that guesses a token from the
four before it. The validation text is of the first kind. Prints the weights, which start equal.
"""

import torch
from torch import Tensor, func, nn

from dsbo import DSOBA, Dense, Problem, graphs, mixing, run

T, N, text = 4, 4, "stir the soup, salt it and serve. "
sources = [text * 9, text[::-1] * 9, "".join(sorted(text)) * 9]
tokens = sorted(set(text))
torch.manual_seed(0)
model = nn.Sequential(nn.Embedding(len(tokens), 8), nn.Flatten(), nn.Linear(8 * T, len(tokens)))


def windows(text: str) -> Tensor:
    return torch.tensor([tokens.index(c) for c in text]).unfold(0, T + 1, 1)


def misfits(y: dict[str, Tensor], rows: Tensor) -> Tensor:
    told: Tensor = func.functional_call(model, y, (rows[:, :-1],))
    return nn.functional.cross_entropy(told, rows[:, -1], reduction="none")


rows = torch.cat([windows(source) for source in sources])
kind = torch.arange(3).repeat_interleave(len(rows) // 3)
problem = Problem.from_losses(
    # The last term keeps weights off the corners. Where sources have other lengths than each other,
    # 3 becomes N M_i / n_k for agent i and source k: the chapter exp-domains.
    upper=lambda x, y, batch: misfits(y, batch).mean() + 0.1 * x.softmax(0) @ x.log_softmax(0),
    lower=lambda x, y, batch: (3 * x.softmax(0)[batch[1]] * misfits(y, batch[0])).mean(),
    x0=torch.zeros(3), y0=model, batch=20, ridge=0.01, upper_data=[windows(text * 2)] * N,
    lower_data=[(rows[i::N], kind[i::N]) for i in range(N)])  # fmt: skip
trace = run(DSOBA(1.0, 0.2, 0.1, 0.2), problem, Dense(mixing.metropolis(graphs.ring(N))), 300)
weights = trace.state.x.mean(0).softmax(0)
print("weights of the sources:", ", ".join(f"{weight:.2f}" for weight in weights))
assert weights[0] > 0.7
