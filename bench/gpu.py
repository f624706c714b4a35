"""Does a GPU give what the CPU gives, and how fast; at most five minutes.

python bench/gpu.py                 on the first GPU; keeps book/records/gpu.json
python bench/gpu.py --device cpu    the same work without one, to try the script
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from steps import STEPS, bare_mixing, cleaning_problem, floor, meta_problem, ring, stepper

from bench import processor
from dsbo import DIAMOND, DSOBA, Dense, algorithms, graphs, mixing, provenance, run
from dsbo.problems import Problem
from dsbo.trace import replacing

KEPT = Path(__file__).parents[1] / "book" / "records" / "gpu.json"
TOLERANCE = 1e-4
"""Largest relative difference of a State in single precision after a hundred steps."""


def synchronised(thing: Any, device: torch.device, times: int = 20) -> float:
    """Return the seconds of one call, the device's queue emptied before and after."""
    for _ in range(5):
        thing()
    wait(device)
    started = time.perf_counter()
    for _ in range(times):
        thing()
    wait(device)
    return (time.perf_counter() - started) / times


def wait(device: torch.device) -> None:
    """Wait for all that the device has been asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def small(personal: bool) -> Problem:
    """Return a nonlinear problem of six agents on which every method is stable."""

    def upper(x: torch.Tensor, y: torch.Tensor, batch: Any) -> torch.Tensor:
        a, c = batch
        return (torch.sigmoid(a @ y) - c).square().mean() + x.square().mean()

    def lower(x: torch.Tensor, y: torch.Tensor, batch: Any) -> torch.Tensor:
        a, c = batch
        return (torch.tanh(a @ y) - c).square().mean() + (x.exp() * y.square()).sum() / 4

    g = torch.Generator().manual_seed(int(personal))
    data = [(torch.randn(40, 8, generator=g), torch.rand(40, generator=g)) for _ in range(6)]
    start = torch.zeros(8)
    return Problem.from_losses(upper, lower, start, start, data, data[::-1], batch=10)


def methods() -> dict[str, Any]:
    """Return every method with steps that suit the small problem."""
    steps: dict[str, Any] = {
        "alpha": 0.05, "beta": 0.05, "gamma": 0.05, "eta": 0.5, "theta": 0.5, "K": 4, "L": 4.0,
        "copies": 3, "radius": 10.0, "q": 5,
    }  # fmt: skip
    found = {}
    for kind in algorithms.ALGORITHMS:
        named = [f for f in kind.__dataclass_fields__.values() if f.init and f.name in steps]
        found[kind.__name__] = kind(**{f.name: steps[f.name] for f in named})
    return found


def agreement(device: torch.device) -> dict[str, float]:
    """Return by how much a hundred steps of each method differ between CPU and device."""
    network, found = Dense(mixing.lazy(mixing.metropolis(graphs.ring(6)))), {}
    for name, method in methods().items():
        problem = small(not method.shared_lower)
        weights = None if method.centralised else network
        here, there = (
            run(method, problem, weights, 100, every=100, device=where, measure=lambda *_: {}).state
            for where in ("cpu", device)
        )
        found[name] = max(
            float((a - b.cpu()).abs().max() / a.abs().max().clamp(min=1e-6))
            for a, b in zip(here, there, strict=True)
        )
    return found


def one_rank(device: torch.device) -> bool:
    """Say whether a sum over a group of one process comes back as it went."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29555"}
    dist.init_process_group(backend, rank=0, world_size=1)
    sent = torch.arange(10.0, device=device)
    came = sent.clone()
    dist.all_reduce(came)
    dist.destroy_process_group()
    return bool(torch.equal(sent, came))


def speed(device: torch.device) -> dict[str, float]:
    """Return seconds of a cleaning step, of its floor, and of a pass over memory."""
    problem, weights = cleaning_problem().to(device), ring()
    W = weights.weights(problem.x0)(0)
    block = torch.rand(2**26, device=device)
    things = {
        "floor": floor(problem, W, device),
        "bare products with W": bare_mixing(problem, W),
        "eager": stepper(DSOBA(**STEPS), problem, weights),
        "compiled": stepper(DSOBA(**STEPS), problem, weights, compiled=True),
        "copy of 256 MiB": block.clone,
    }
    took = {name: synchronised(thing, device) for name, thing in things.items()}
    meta = meta_problem(9).to(device)
    diamond = DIAMOND.published(0.1, 3.0, 0.1, 0.1, K=10, L=6.0)
    laplacian = Dense(mixing.laplacian(graphs.erdos_renyi(9, 0.3)))
    took["DIAMOND, eager"] = synchronised(stepper(diamond, meta, laplacian), device)
    started = time.perf_counter()
    run(DSOBA(**STEPS), problem, weights, 300, every=300, device=device, measure=lambda *_: {})
    took["300 steps of cleaning"] = time.perf_counter() - started
    return took


def main() -> int:
    """Do all of it and keep what was found."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--device", default="cuda")
    words.add_argument("--out", type=Path, default=KEPT)
    args = words.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("no GPU that PyTorch can use; try --device cpu for a rehearsal")
        return 2
    device = torch.device(args.device)
    found = {
        "differences": agreement(device),
        "one rank": one_rank(device),
        "seconds": speed(device),
        "provenance": provenance.environment(device) | {"processor": processor()},
    }
    worst = max(found["differences"].values())
    print(json.dumps(found, indent=1))
    print(f"largest difference {worst:.3g}, at most {TOLERANCE}")
    if args.device != "cpu":
        with replacing(args.out) as part:
            part.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")
    return 0 if worst <= TOLERANCE and found["one rank"] else 1


if __name__ == "__main__":
    sys.exit(main())
