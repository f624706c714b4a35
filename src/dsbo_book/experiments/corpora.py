"""A corpus as a problem of the experiments: its genres dealt out in windows.

A function of JSON values, as those of `dsbo_book.experiments.tasks` are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from dsbo.checked import whole
from dsbo.problems import Problem
from dsbo_book import data
from dsbo_book.problems import domain_weighting

__all__ = ["domains"]


def domains(
    split: int,
    seed: int = 0,
    dataset: str = "masc",
    target: str = "technical",
    agents: int = 8,
    rows: int = 1000,
    scarce: int = 250,
    plants: bool = False,
    weights: Sequence[float] | None = None,
    proportional: bool = False,
    width: int = 32,
    tau: float = 0.02,
    batch: int = 16,
    first_order: bool = False,
) -> Problem:
    """Return the weighting of the genres of a corpus; two agents hold the windows of each.

    Parameters
    ----------
    split : int
        Seed of the deal of windows, which are 32 characters long and dealt out in blocks of 40.
    seed : int
        Of the transformer's start.
    dataset : str
        One that `data.texts` knows.
    target : str
        The genre that validates and tests.
    agents, rows, scarce : int
        Number of agents; windows of a genre; different ones of the target to train on.
    plants : bool
        Add two domains: ``twin``, more text of the target, and ``shuffled``, the same text with its
        characters in random order.
    weights : sequence of float, optional
        Fix p, and hold as many windows of a domain as it says, 20 ``rows`` in all, so that each
        counts alike.
    proportional : bool
        Fix p in proportion to the windows that there are.
    width, tau, batch
        See `domain_weighting`.
    first_order : bool
        Replace second-order products by differences of gradients.

    Raises
    ------
    ValueError
        If there is no such genre, an agent would hold nothing, or no window is left to test on.
    """
    genres, codes = _windows(dataset)
    if target not in genres:
        raise ValueError(f"no genre {target!r} in {dataset}; give one of {', '.join(genres)}")
    rng = np.random.default_rng(split)

    def dealt(windows: Tensor) -> Tensor:
        blocks = torch.split(windows, 40)
        return torch.cat([blocks[b] for b in rng.permutation(len(blocks))])

    pools = {name: dealt(windows) for name, windows in genres.items()}
    own, twin, rest = pools[target].tensor_split([scarce, scarce + rows])
    if len(rest) < 2 * agents or not len(own):
        raise ValueError(
            f"scarce = {scarce} and rows = {rows} leave {len(own)} of {len(pools[target])} windows "
            f"of {target} to train on and {len(rest)} to validate and test; {agents} agents need "
            f"1 and {2 * agents}"
        )
    pools[target] = own
    if plants:
        order = torch.from_numpy(rng.permutation(twin.numel()))
        pools |= {"twin": twin, "shuffled": twin.flatten()[order].view_as(twin)}
    if proportional:
        there = [len(windows) for windows in genres.values()]
        weights = [n / sum(there) for n in there]
    if weights is not None and len(weights) != len(pools):
        raise ValueError(f"weights must be {len(pools)} numbers, got {len(weights)}")
    if not 1 <= whole(agents, "agents") <= 2 * len(pools):
        raise ValueError(f"agents must be at most {2 * len(pools)}, two a genre, got {agents}")
    counts = [rows] * len(pools) if weights is None else [round(20 * rows * p) for p in weights]
    held: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(agents)]
    for k, (pool, n) in enumerate(zip(pools.values(), counts, strict=True)):
        mine = pool[torch.arange(n, device=pool.device) % min(len(pool), rows)]
        for half, part in enumerate(mine.tensor_split(2)):
            owner = (k + half * (agents // 2)) % agents
            held[owner].append((part, torch.full_like(part[:, 0], k)))
    validation, test = rest.tensor_split(2)
    each = len(validation) // agents
    problem = domain_weighting(
        [(torch.cat(a), torch.cat(k)) for a, k in (zip(*own, strict=True) for own in held)],
        validation[: each * agents].reshape(agents, each, -1),
        test,
        list(pools),
        codes,
        width=width,
        tau=tau,
        batch=batch,
        seed=seed,
        weights=weights,
        settings={"dataset": dataset, "target": target, "split": split},
    )
    return problem.first_order() if first_order else problem


@lru_cache(maxsize=1)
def _windows(dataset: str) -> tuple[dict[str, Tensor], int]:
    """Return the windows ``[n, 33]`` of every genre and the number of codes.

    The 63 most frequent characters have a code of their own, all others share one.
    """
    texts = data.texts(dataset)
    common = Counter("".join(texts.values())).most_common(63)
    code = {character: k for k, (character, _) in enumerate(common, 1)}
    lines = {
        genre: torch.tensor([code.get(c, 0) for c in text], device="cpu")
        for genre, text in texts.items()
    }
    return {genre: line.unfold(0, 33, 32) for genre, line in lines.items()}, len(code) + 1
