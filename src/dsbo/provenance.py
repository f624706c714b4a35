"""Where the numbers of a trace come from."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from dataclasses import fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._pytree import tree_flatten

from dsbo.layout import raw
from dsbo.ragged import Lengths
from dsbo.schedules import Constant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsbo.algorithms import Algorithm
    from dsbo.network import PerLevel
    from dsbo.problems import Problem

PRINTED_AGENTS = 32
"""Weights of networks with more agents are told by their checksum alone."""


def settings(algorithm: Algorithm) -> dict[str, Any]:
    """Return an algorithm's name and step sizes as JSON types."""
    told: dict[str, Any] = {"name": type(algorithm).__name__}
    for setting in fields(algorithm):
        value = getattr(algorithm, setting.name)
        if setting.metadata.get("told") == "unless default" and value == setting.default:
            continue  # it is newer than records
        plain = value.value if isinstance(value, Constant) else value
        told[setting.name] = plain if isinstance(plain, float | None) else repr(plain)
    return told


def identity(
    algorithm: Algorithm, problem: Problem, network: PerLevel, seed: int, every: int
) -> dict[str, Any]:
    """Return what two runs must share to be the same run, whatever machine they are on."""
    everyone = problem.everyone()
    samples = (problem.upper.full(everyone), problem.lower.full(everyone))
    return {
        "algorithm": settings(algorithm),
        "problem": problem.settings,
        "start": digest((problem.x0, problem.y0)),
        "data": digest(samples),
        "network": {
            "kind": network.kind,
            "agents": network.x.agents,
            "links": network.links,
            "sha256": checksum(network.matrices),
        },
        "seed": seed,
        "every": every,
        "dtype": str(problem.x0.dtype).removeprefix("torch."),
    }


def checksum(W: NDArray[np.float64]) -> str:
    """Return a checksum of weights that is the same on every machine.

    It is of nine decimals: weights may come from eigenvalues, whose last digits differ from one
    processor to the next.
    """
    return hashlib.sha256((np.round(W, 9) + 0.0).tobytes()).hexdigest()


def digest(tree: Any) -> str:
    """Return a checksum of all tensors in a tree."""
    digest = hashlib.sha256()
    for part in tree_flatten(tree)[0]:
        if isinstance(part, torch.Tensor):
            digest.update(raw(part))
        elif isinstance(part, Lengths):
            digest.update(repr(part).encode())
    return digest.hexdigest()


def printed(network: PerLevel) -> dict[str, Any]:
    """Return the mixing rate and the weights ``[…, N, N]`` as JSON types, if they are not many."""
    few = network.x.agents <= PRINTED_AGENTS
    return {"rho": network.rho, "W": network.matrices.tolist()} if few else {}


def environment(device: torch.device) -> dict[str, Any]:
    """Return the device, the versions and the commit."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": {"type": device.type, "name": name, "threads": torch.get_num_threads()},
        "versions": {
            "python": platform.python_version(),
            "dsbo": _version("dsbo"),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
        "commit": commit(),
    }


@cache
def commit() -> str | None:
    """Return the commit of a source checkout, ``+`` appended if files differ from it, else None."""
    here = Path(__file__).parent
    try:
        _git(here, "ls-files", "--error-unmatch", "--", __file__)  # or it is another repository
        found = _git(here, "rev-parse", "--short=12", "HEAD")
        return found + ("+" if _git(here, "status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
