"""Checkpoints: all that a run needs to go on as if it had never stopped.

A checkpoint is one safetensors file with the State, and everything else as JSON in its header. It
is replaced atomically, so whenever a run is killed there is a whole one, the newer or the older.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dsbo.network.ranks import Ranks
from dsbo.network.watch import PeerLost
from dsbo.trace import replacing

FILE = "checkpoint.safetensors"


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
        """Write into ``folder``, in place of the checkpoint there."""
        # Two variables of a State may be one tensor, which safetensors takes only as copies.
        own = {k: v.detach().cpu().contiguous().clone() for k, v in self.tensors.items()}
        body = json.dumps({k: v for k, v in vars(self).items() if k != "tensors"})
        path = Path(folder) / FILE
        with replacing(path) as part:
            part.write_bytes(save(own, {"run": body, "sha256": _digest(own, body)}))
        return path

    @classmethod
    def read(cls, folder: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
        """Read the checkpoint in ``folder``.

        Raises
        ------
        FileNotFoundError
            If the folder holds none.
        CheckpointError
            If the file is truncated or was changed.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint in {folder}: {FILE} is missing")
        try:
            with safe_open(path, "pt") as file:
                told = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            whole = told["sha256"] == _digest(tensors, told["run"])
        except (SafetensorError, KeyError) as error:
            whole, told = False, {"run": str(error)}
        if not whole:
            raise CheckpointError(
                f"{path} is truncated or was changed after it was written; delete {folder} to "
                "start anew, or restore it from a copy"
            )
        return cls(tensors={k: v.to(device) for k, v in tensors.items()}, **json.loads(told["run"]))


def _digest(tensors: dict[str, Tensor], body: str) -> str:
    digest = hashlib.sha256(body.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class Keeper:
    """Writes and finds the checkpoints of a run; of several processes rank 0 alone does.

    Parameters
    ----------
    folder : path or None
        Where; None keeps nothing.
    identity : dict
        What a run must agree with to go on from one.
    ranks : Ranks
        The processes of the run.
    """

    def __init__(self, folder: str | Path | None, identity: dict[str, Any], ranks: Ranks) -> None:
        self.folder = None if folder is None else Path(folder)
        self.identity, self.ranks = identity, ranks
        self.kept = "No checkpoint was written; give a folder with checkpoint=…"

    def keep(self, make: Callable[[], Checkpoint]) -> None:
        """Write what ``make`` gives; a full disk costs the checkpoint, not the run."""
        if self.folder is None:
            return
        folder, saved = self.folder, make()

        def write() -> bool:
            try:
                saved.write(folder)
            except OSError as error:
                warnings.warn(f"{error}. The run goes on without this checkpoint", stacklevel=5)
                return False
            return True

        if self.ranks.broadcast(write):
            self._remember(saved.step)

    def find(self, device: torch.device, steps: int) -> Checkpoint | None:
        """Return the checkpoint to go on from, if there is one; its tensors are on rank 0 alone.

        Raises
        ------
        CheckpointError
            If it is damaged, of another run, or beyond ``steps``.
        """
        found: list[Checkpoint] = []

        def read() -> Checkpoint | None:
            if self.folder is None or not (self.folder / FILE).is_file():
                return None
            found.append(Checkpoint.read(self.folder, device))
            self._check(found[0].made_by)
            if (step := found[0].step) > steps:
                raise CheckpointError(
                    f"the checkpoint is of step {step}, beyond the {steps} steps asked for; "
                    f"pass steps={step} or more, or give another folder"
                )
            return replace(found[0], tensors={})

        saved = self.ranks.broadcast(read)
        if saved is not None:
            self._remember(saved.step)
        return found[0] if found else saved

    @contextmanager
    def telling_what_is_kept(self) -> Iterator[None]:
        """Add to the loss of a rank what is left."""
        try:
            yield
        except PeerLost as error:
            raise PeerLost(error.rank, error.reason, self.kept) from error

    def _remember(self, step: int) -> None:
        self.kept = f"The last checkpoint is of step {step} in {self.folder}; resume from it"

    def _check(self, made_by: dict[str, Any]) -> None:
        own = self.identity
        if made_by == own:
            return
        differ = [k for k in own if made_by.get(k) != own[k]]
        told = "; ".join(f"{k} was {made_by.get(k)}, is {own[k]}" for k in differ)
        was, now = made_by.get("network", {}), own["network"]
        remedy = "Resume with the same settings"
        if differ == ["every"]:
            remedy = f"Pass every={made_by['every']}; by default it depends on the steps"
        if made_by == own | {"network": {**now, "kind": was.get("kind")}}:
            remedy = (
                f"{was['kind']} and {now['kind']} sum in different orders, so their runs agree to "
                f"rounding but not bitwise: resume with {was['kind']}"
            )
        raise CheckpointError(
            f"the checkpoint belongs to another run: {told}. {remedy}, or give another folder"
        )
