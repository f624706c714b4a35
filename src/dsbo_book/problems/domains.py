"""Domain reweighting: learn how much of a small language model's training each kind of text gets.

x holds a logit for each of K domains, whose weights are p = softmax(x); y is a transformer. Agent i
has M_i windows of text, of which any may be of any domain; there are n_k windows of domain k on all
N agents together:

    f_i(x, y) = mean over agent i's validation windows of  L(y) + tau · sum_k p_k log(K p_k)
    g_i(x, y) = mean over agent i's training windows of    N M_i / n_k · p_k L(y) + ridge · ‖y‖²

L is the mean loss of a window in nats a character. So mean_i g_i = sum_k p_k L_k + ridge · ‖y‖²,
where L_k is the mean over domain k, wherever its windows are. Slides of Kong et al. 2025, the
first application. Chapter exp-domains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, gelu

from dsbo.checked import real
from dsbo.problems import Problem


def transformer(y: dict[str, Tensor], codes: Tensor) -> Tensor:
    """Return the logits ``[b, T, C]`` of what follows each of the characters ``codes [b, T]``.

    One block, attention with one head and a layer of GELUs. Attention is written out because
    PyTorch's own has no second derivative on the CPU.
    """
    h = y["embed"][codes] + y["place"]
    q, k, v = (_normal(h) @ y["attend"]).chunk(3, dim=-1)
    later = -1e9 * h.new_ones(codes.shape[1], codes.shape[1]).triu(1)
    h = h + (q @ k.mT / math.sqrt(q.shape[-1]) + later).softmax(-1) @ v @ y["gather"]
    h = h + gelu(_normal(h) @ y["up"]) @ y["down"]
    return _normal(h) @ y["head"]


def initial_transformer(codes: int, T: int, width: int, seed: int) -> dict[str, Tensor]:
    """Return matrices of variance 1 / inputs; of embeddings and places it is 1 / width."""
    g = torch.Generator("cpu").manual_seed(seed)
    shapes = {
        "embed": (codes, width, width),
        "place": (T, width, width),
        "attend": (width, 3 * width, width),
        "gather": (width, width, width),
        "up": (width, 2 * width, width),
        "down": (2 * width, width, 2 * width),
        "head": (width, codes, width),
    }
    return {
        name: torch.randn(rows, columns, generator=g, device="cpu", dtype=torch.float32)
        / math.sqrt(inputs)
        for name, (rows, columns, inputs) in shapes.items()
    }


def nats(y: dict[str, Tensor], windows: Tensor) -> Tensor:
    """Return the loss ``[b]`` of windows ``[b, T + 1]``, the mean of −log of T characters' shares.

    Every character but the first is told from those before it.
    """
    logits = transformer(y, windows[:, :-1])
    return cross_entropy(logits.mT, windows[:, 1:], reduction="none").mean(1)


def domain_weighting(
    train: Sequence[tuple[Tensor, Tensor]],
    validation: Tensor,
    test: Tensor,
    domains: Sequence[str],
    codes: int,
    width: int = 32,
    tau: float = 0.02,
    ridge: float = 1e-3,
    batch: int = 16,
    seed: int = 0,
    weights: Sequence[float] | None = None,
    settings: dict[str, Any] | None = None,
) -> Problem:
    """Return the weighting of domains for a small transformer.

    A trace records ``validation_loss`` and ``test_loss`` in nats a character, and the weight of
    each domain as ``p <domain>``, all of the mean over the agents.

    Parameters
    ----------
    train : sequence
        Every agent's windows ``[M_i, T + 1]`` and their domains ``[M_i]``.
    validation, test : Tensor
        Windows of the target, ``[N, m, T + 1]`` and, which no agent sees, ``[m, T + 1]``.
    domains : sequence of str
        Names of the domains.
    codes : int
        Number of characters in the alphabet.
    width : int
        Of the transformer.
    tau, ridge : float
        Weights of the penalty on uneven p and of ‖y‖².
    batch : int
        Windows that an agent draws for each level in an iteration.
    seed : int
        Of the transformer's start, which all agents share.
    weights : sequence of float, optional
        The p to start from; by default all are equal.
    settings : dict, optional
        What a trace should say about where the windows came from.

    Raises
    ------
    ValueError, TypeError
        If the windows do not fit together or a setting is out of range.
    """
    K, N = len(domains), len(train)
    length = test.shape[1]
    parts = {f"train[{i}]": windows for i, (windows, _) in enumerate(train)}
    for name, windows in (parts | {"validation": validation, "test": test}).items():
        if windows.shape[-1] != length:
            raise ValueError(f"{name} has windows of {windows.shape[-1]}, test of {length}")
        _require_below(codes, windows, f"characters of {name}")
    for i, (_, domain) in enumerate(train):
        _require_below(K, domain, f"domains of train[{i}]")
    if len(set(domains)) < K:
        raise ValueError(f"domains must have names of their own, got {list(domains)}")
    if weights is not None and (len(weights) != K or min(weights) < 0):
        raise ValueError(f"weights must be {K} numbers of at least 0, got {list(weights)}")
    tau = real(tau, "tau", least=0)
    rows = torch.cat([domain for _, domain in train]).bincount(minlength=K)
    data = [(a, k, N * len(k) / rows[k].float()) for a, k in train]
    shares = [1 / K] * K if weights is None else weights
    p = torch.tensor(shares, device=test.device, dtype=torch.float32)
    problem = Problem.from_losses(
        partial(_upper, tau),
        _lower,
        x0=p.clamp(min=1e-12).log(),
        y0=initial_transformer(codes, length - 1, width, seed),
        upper_data=list(validation),
        lower_data=data,
        batch=batch,
        ridge=ridge,
        metrics=partial(_metrics, tuple(domains)),
    )
    told = {
        "name": "Domains",
        "agents": N,
        "domains": list(domains),
        "width": width,
        "tau": tau,
        "ridge": ridge,
        "batch": batch,
        "seed": seed,
        **(settings or {}),
    }
    return replace(problem, settings=told, unseen={"test": test})


def _require_below(count: int, numbers: Tensor, name: str) -> None:
    if odd := numbers[(numbers < 0) | (numbers >= count)].tolist():
        raise ValueError(f"the {name} must be among 0, …, {count - 1}, got {odd[0]}")


def _normal(h: Tensor) -> Tensor:
    return h * (h.square().mean(-1, keepdim=True) + 1e-5).rsqrt()


def _upper(tau: float, x: Tensor, y: dict[str, Tensor], windows: Tensor) -> Tensor:
    log = x.log_softmax(0)
    return nats(y, windows).mean() + tau * (log.exp() * (log + math.log(len(x)))).sum()


def _lower(x: Tensor, y: dict[str, Tensor], batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    windows, domain, factor = batch
    return (factor * x.softmax(0)[domain] * nats(y, windows)).mean()


def _metrics(
    domains: Sequence[str], problem: Problem, x: Tensor, y: Tensor, _: bool
) -> dict[str, float]:
    model = problem.unpack(y=y.mean(0))
    seen = problem.upper.full(problem.everyone()).flatten(0, 1)
    shares = x.mean(0).softmax(0).tolist()
    losses = {"validation_loss": seen, "test_loss": problem.unseen["test"]}
    told = {name: float(nats(model, part).mean()) for name, part in losses.items()}
    return told | {f"p {name}": p for name, p in zip(domains, shares, strict=True)}
