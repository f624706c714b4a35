"""Checkpoints: all that a run needs to go on as if it had never stopped.

A checkpoint is a folder with the State as safetensors and everything else as JSON. The JSON names
the tensor file and holds its checksum, and is replaced last and atomically: whenever a run is
killed, the folder holds one whole checkpoint, the newer or the older one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from dsbo.trace import replacing

INDEX = "checkpoint.json"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A run after ``step`` iterations.

    Parameters
    ----------
    step : int
        Iterations done.
    tensors : dict of str to Tensor
        The State by variable.
    rows : list of dict
        The trace so far.
    counts : dict of str to int
        Oracle calls, rounds and floats so far.
    seconds : float
        Time spent so far.
    made_by : dict
        What the run must agree with to be resumed.
    """

    step: int
    tensors: dict[str, Tensor]
    rows: list[dict[str, Any]]
    counts: dict[str, int]
    seconds: float
    made_by: dict[str, Any]

    def write(self, folder: str | Path) -> Path:
        """Write into ``folder`` and remove the checkpoint that it replaces."""
        folder = Path(folder)
        # Two variables of a State may be one tensor, which safetensors takes only as copies.
        data = save({k: v.detach().cpu().contiguous().clone() for k, v in self.tensors.items()})
        tensors = folder / f"step-{self.step:09d}.safetensors"
        with replacing(tensors) as part:
            part.write_bytes(data)
        body = {
            "step": self.step,
            "tensors": tensors.name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "rows": self.rows,
            "counts": self.counts,
            "seconds": self.seconds,
            "made_by": self.made_by,
        }
        with replacing(folder / INDEX) as part:
            part.write_text(json.dumps({"digest": _digest(body), **body}, indent=1))
        for old in folder.glob("step-*.safetensors"):
            if old != tensors:
                old.unlink()
        return folder / INDEX

    @classmethod
    def read(cls, folder: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
        """Read the checkpoint in ``folder``.

        Raises
        ------
        FileNotFoundError
            If the folder holds none.
        CheckpointError
            If a file is truncated or was changed.
        """
        folder = Path(folder)
        index = folder / INDEX
        if not index.is_file():
            raise FileNotFoundError(f"no checkpoint in {folder}: {INDEX} is missing")
        remedy = f"delete {folder} to start anew, or restore it from a copy"
        try:
            body = json.loads(index.read_text())
            digest = body.pop("digest")
        except (ValueError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{index} is truncated or not a checkpoint; {remedy}") from error
        if digest != _digest(body):
            raise CheckpointError(f"{index} was changed after it was written; {remedy}")
        file = folder / body.pop("tensors")
        data = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(data).hexdigest() != body.pop("sha256"):
            state = "truncated or was changed" if data else "missing"
            raise CheckpointError(f"{file} is {state}; {remedy}")
        return cls(tensors={k: v.to(device) for k, v in load(data).items()}, **body)


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
