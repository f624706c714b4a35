"""Which of several processes this is, and where they meet."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Mapping
from typing import NamedTuple

import torch

LOOPBACK = "127.0.0.1"
NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
SIOCGIFADDR = 0x8915
"""Linux's request for the address of an interface."""


class Seat(NamedTuple):
    """The place of one process among others.

    Parameters
    ----------
    rank, size : int
        Number of this process, and how many there are.
    local : int
        Number of this process on its machine, which picks its GPU.
    address, port : str, int
        Where the store is in which all ranks meet.
    hosted : bool
        Whether another process, such as torchrun, holds the store; else rank 0 does.
    attempt : int
        How often torchrun has started the ranks anew.
    """

    rank: int
    size: int
    local: int
    address: str
    port: int
    hosted: bool
    attempt: int = 0

    @staticmethod
    def given(variables: Mapping[str, str] = os.environ) -> bool:
        """Return whether this process was started as one of several."""
        return "RANK" in variables and "WORLD_SIZE" in variables

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> Seat:
        """Read the variables that torchrun sets.

        Raises
        ------
        ValueError
            If one is missing or no number, or the rank is not below the size.

        Examples
        --------
        >>> Seat.from_environment({"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
        ...                        "MASTER_PORT": "29500"})
        Traceback (most recent call last):
        ...
        ValueError: RANK=2 is not among the ranks 0, …, 1 of WORLD_SIZE=2
        """
        if missing := [name for name in NEEDED if name not in variables]:
            raise ValueError(
                f"{', '.join(missing)} not set; start with: torchrun --nproc-per-node P …"
            )
        try:
            rank, size, port = (int(variables[n]) for n in ("RANK", "WORLD_SIZE", "MASTER_PORT"))
        except ValueError as error:
            raise ValueError(f"RANK, WORLD_SIZE and MASTER_PORT must be numbers: {error}") from None
        if not 0 <= rank < size:
            raise ValueError(
                f"RANK={rank} is not among the ranks 0, …, {size - 1} of WORLD_SIZE={size}"
            )
        return cls(
            rank,
            size,
            int(variables.get("LOCAL_RANK", 0)),
            variables["MASTER_ADDR"],
            port,
            variables.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
            int(variables.get("TORCHELASTIC_RESTART_COUNT", 0)),
        )

    @property
    def hosts(self) -> bool:
        """Whether this process holds the store."""
        return self.rank == 0 and not self.hosted

    def device(self, wanted: str) -> torch.device:
        """Return where this process computes and what its messages are sent from.

        Raises
        ------
        ValueError
            If GPUs are wanted and this process finds none that is not another's.
        """
        if not wanted.startswith("cuda"):
            return torch.device("cpu")
        if self.local >= torch.cuda.device_count():
            raise ValueError(
                f"rank {self.rank} is process {self.local} of a machine with "
                f"{torch.cuda.device_count()} GPUs; nccl needs a GPU for each process"
            )
        return torch.device("cuda", self.local)

    def listen(self) -> socket.socket:
        """Return a socket that listens at the address and nowhere else.

        Raises
        ------
        OSError
            If the port is in use or the address is not this machine's.
        """
        try:
            return socket.create_server((self.address, self.port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is in use; choose another MASTER_PORT" if taken else f"cannot be had: {error}"
            raise OSError(error.errno, f"{self.address}:{self.port} {why}") from error

    def interface(self) -> str | None:
        """Return the name of the interface that leads to the address; None if it cannot be told."""
        with (
            contextlib.suppress(OSError, ImportError),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
        ):
            import fcntl

            probe.connect((self.address, self.port))  # sends nothing
            own = socket.inet_aton(probe.getsockname()[0])
            if own[0] == 127:
                own = socket.inet_aton(LOOPBACK)
            for _, name in socket.if_nameindex():
                request = struct.pack("256s", name.encode())
                with contextlib.suppress(OSError):  # an interface without an address
                    if fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)[20:24] == own:
                        return name
        return None
