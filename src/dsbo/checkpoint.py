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

from dsbo.layout import raw
from dsbo.network.ranks import Ranks
from dsbo.network.watch import PeerLost
from dsbo.trace import ORACLES, replacing

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
        body = json.dumps({k: v for k, v in vars(self).items() if k != "tensors"})
        return write_sealed(Path(folder) / FILE, self.tensors, body)

    @classmethod
    def read(cls, folder: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
        """Read the checkpoint in ``folder``.

        Raises
        ------
        FileNotFoundError
            If the folder holds none.
        CheckpointError
            If the file is truncated or was changed, or is no checkpoint of this version.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint in {folder}: {FILE} is missing")
        tensors, body = read_sealed(path)
        try:
            own = {name: part.to(device) for name, part in tensors.items()}
            return cls(tensors=own, **json.loads(body))._checked()
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} is whole, but no checkpoint that this version of dsbo wrote: {error!r}; "
                f"delete it to start anew, or use the version that wrote it"
            ) from error

    def unlike(self, start: Checkpoint) -> str:
        """Say in which variables and counts this differs from a run at its start."""
        was, now = _shapes(self), _shapes(start)
        return ", ".join(
            f"{name} was {was.get(name)}, is {now.get(name)}"
            for name in sorted(was.keys() | now.keys())
            if was.get(name) != now.get(name)
        )

    def _checked(self) -> Checkpoint:
        """Return this, or raise an error if a field is not what it should be."""
        numbers = [self.step, *self.counts.values(), *(row["step"] for row in self.rows)]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("a count is not a whole number")
        if not {*ORACLES, "rounds", "floats"} <= self.counts.keys():
            raise ValueError(f"it counts {', '.join(self.counts)} alone")
        values = [value for row in self.rows for value in row.values()]
        if not all(isinstance(value, int | float) for value in values):
            raise TypeError("its rows hold what is no number")
        if not isinstance(self.seconds, float):
            raise TypeError(f"{self.seconds!r} seconds are no time")
        if not isinstance(self.made_by, dict):
            raise TypeError("it does not tell which run made it")
        return self


def _shapes(saved: Checkpoint) -> dict[str, str]:
    """Return the shape and dtype of every variable, and the kinds of counts there are."""
    told = {name: f"{part.dtype} {list(part.shape)}" for name, part in saved.tensors.items()}
    return told | {f"the count of {name}": "there" for name in saved.counts}


def write_sealed(path: Path, tensors: dict[str, Tensor], body: str = "") -> Path:
    """Write tensors and a text to one safetensors file, atomically, with a checksum of both."""
    # Two variables of a State may be one tensor, which safetensors takes only as copies.
    own = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with replacing(path) as part:
        part.write_bytes(save(own, {"run": body, "sha256": _digest(own, body)}))
    return path


def read_sealed(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read the tensors and the text that `write_sealed` wrote.

    Raises
    ------
    CheckpointError
        If the file is truncated or was changed.
    """
    cause: Exception | None = None
    try:
        with safe_open(path, "pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if told["sha256"] == _digest(tensors, told["run"]):
            return tensors, told["run"]
    except (SafetensorError, KeyError) as error:
        cause = error
    raise CheckpointError(
        f"{path} is truncated or was changed after it was written, or another version of dsbo "
        f"wrote it; delete it to start anew, or restore it from a copy"
    ) from cause


def _digest(tensors: dict[str, Tensor], body: str) -> str:
    digest = hashlib.sha256(body.encode())
    for name, part in sorted(tensors.items()):
        digest.update(f"{name} {part.dtype} {list(part.shape)} ".encode())
        digest.update(raw(part))
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

    def keep(self, make: Callable[[], Checkpoint]) -> int | None:
        """Write what ``make`` gives, and return its step; a full disk costs only the checkpoint."""
        if self.folder is None:
            return None
        folder, saved = self.folder, make()

        def write() -> bool:
            try:
                saved.write(folder)
            except OSError as error:
                warnings.warn(f"{error}. The run goes on without this checkpoint", stacklevel=6)
                return False
            return True

        if not self.ranks.broadcast(write):
            return None
        self._remember(saved.step)
        return saved.step

    def find(self, start: Checkpoint, device: torch.device, steps: int) -> Checkpoint | None:
        """Return the checkpoint to go on from, if there is one; its tensors are on rank 0 alone.

        Parameters
        ----------
        start : Checkpoint
            The run at its start, whose variables and counts it must have.
        device : torch.device
            For its tensors.
        steps : int
            How many the run has.

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
                    f"pass steps={step} or more, or give another folder than {self.folder}"
                )
            if told := found[0].unlike(start):
                raise CheckpointError(
                    f"the checkpoint in {self.folder} belongs to another version of the method: "
                    f"{told}. Resume with the version that wrote it, or give another folder"
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
        differ = [k for k in {**own, **made_by} if made_by.get(k) != own.get(k)]
        told = "; ".join(f"{k} was {made_by.get(k)}, is {own.get(k)}" for k in differ)
        was, now = made_by.get("network"), own["network"]
        remedy = "Resume with the same settings"
        if differ == ["every"]:
            remedy = f"Pass every={made_by.get('every')}; by default it depends on the steps"
        if isinstance(was, dict) and made_by == own | {"network": {**now, "kind": was.get("kind")}}:
            remedy = (
                f"{was.get('kind')} and {now['kind']} sum in different orders, so their runs agree "
                f"to rounding but not bitwise: resume with {was.get('kind')}"
            )
        raise CheckpointError(
            f"the checkpoint belongs to another run: {told}. {remedy}, or give another folder than "
            f"{self.folder}"
        )
