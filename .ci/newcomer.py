"""Run the README's commands as a newcomer does: nothing set up, no host but the package indexes.

    python .ci/newcomer.py CLONE [COMMAND …]

First the README's commands that begin with ``python3 -m venv``, as they stand there, then the
others, each in the folder CLONE, with an empty home and a bare environment. Where the system allows
it they run in a network of their own, whose only way out is a proxy that opens connections to the
indexes that pip is configured for; a command of the README that asks for another host has failed.
The times, in multiples of a fixed loop too, and the bytes that came through are told at the end.
Where pip has no index of its own, this needs uv beside Python.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from pip._internal.models.index import PyPI

PASSED_ON = ("LANG", "LC_ALL", "SSL_CERT_DIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "TERM")
ISOLATE = ("unshare", "--net", "--map-root-user") if os.geteuid() else ("unshare", "--net")


def settings() -> dict[str, str]:
    """Return pip's settings, as the variables that would set them."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    found = re.findall(r"^(?:global|install|:env:)\.([\w-]+)=('.*')$", told, re.MULTILINE)
    return {
        f"PIP_{name.replace('-', '_').upper()}": " ".join(ast.literal_eval(value).split())
        for name, value in reversed(found)
    }


def indexes(pip: dict[str, str]) -> set[str]:
    """Return the hosts that pip is configured for, and where uv finds PyTorch for the CPU."""
    addresses = [PyPI.simple_url, f"https://{PyPI.file_storage_domain}", *pip.values()]
    if not {"PIP_FIND_LINKS", "PIP_INDEX_URL"} & pip.keys():
        uv = Path(sys.executable).with_name("uv")
        addresses += subprocess.run(
            [uv, "pip", "compile", "-", "--emit-index-annotation", "--torch-backend", "cpu"],
            input="torch", capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
    words = [word for address in addresses for word in address.split()]
    return {host for word in words if "://" in word and (host := urlsplit(word).hostname)}


class Gate(socketserver.BaseRequestHandler):
    """A proxy that connects to hosts of a list and to no other."""

    hosts: ClassVar[set[str]] = set()
    received: ClassVar[Counter[str]] = Counter()
    refused: ClassVar[Counter[str]] = Counter()
    counting = threading.Lock()

    def handle(self) -> None:
        """Open one connection if its host is on the list."""
        asked = b""
        while b"\r\n\r\n" not in asked and (more := self.request.recv(4096)):
            asked += more
        found = re.match(rb"CONNECT ([^:\s]+):(\d+)", asked)
        host = found[1].decode() if found else (asked.split(b"\r\n")[0].decode(errors="replace"))
        if found is None or not any(f".{host}".endswith(f".{h}") for h in self.hosts):
            self.refused[host] += 1
            self.request.sendall(b"HTTP/1.1 403 Not an index of packages\r\n\r\n")
            return
        with socket.create_connection((host, int(found[2])), timeout=60) as there:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            out = threading.Thread(target=pour, args=(self.request, there), daemon=True)
            out.start()
            came = pour(there, self.request)
            with self.counting:
                self.received[host] += came
            out.join(1)


class Doors(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The gate at a path, which a network of its own can reach too."""

    daemon_threads = True


def pour(source: socket.socket, target: socket.socket) -> int:
    """Pass on what arrives until there is no more; return how much it was."""
    amount = 0
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
            amount += len(piece)
        target.shutdown(socket.SHUT_WR)
    return amount


class Forward(socketserver.BaseRequestHandler):
    """Carry a connection at the proxy's port to the gate."""

    gate = ""

    def handle(self) -> None:
        """Carry one connection, both ways."""
        with socket.socket(socket.AF_UNIX) as there:
            there.connect(self.gate)
            threading.Thread(target=pour, args=(self.request, there), daemon=True).start()
            pour(there, self.request)


def inside(gate: str, isolated: str, port: str, command: str) -> int:
    """Run a command where the proxy's port leads to the gate; the second half of `run`."""
    if isolated == "yes":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Forward.gate = gate
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", int(port)), Forward) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status = subprocess.run(["bash", "-c", command], check=False).returncode
        server.shutdown()
    return status


def run(gate: str, isolated: bool, command: str, clone: Path, env: dict[str, str]) -> int:
    """Run a command in the clone behind the gate."""
    port = env["HTTPS_PROXY"].rpartition(":")[2]
    half = [sys.executable, __file__, "--inside", gate, "yes" if isolated else "no", port, command]
    return subprocess.run(
        [*(ISOLATE if isolated else ()), *half], cwd=clone, env=env, check=False
    ).returncode


@contextlib.contextmanager
def home(pip: dict[str, str]) -> Iterator[dict[str, str]]:
    """Give the environment of a newcomer: an empty home, and pip's settings."""
    with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
        with socket.create_server(("127.0.0.1", 0)) as free:
            proxy = f"http://127.0.0.1:{free.getsockname()[1]}"
        env = {name: value for name, value in os.environ.items() if name in PASSED_ON}
        env |= pip | {"HOME": folder, "NO_PROXY": "127.0.0.1,localhost"}
        env |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), proxy)
        # Not a shim, which would look for its settings in the home of somebody else.
        python = str(Path(sys.executable).resolve().parent)
        env["PATH"] = os.pathsep.join([python, *os.defpath.split(os.pathsep), "/usr/sbin"])
        yield env


def reference() -> float:
    """Return the seconds of a fixed loop, by which machines can be compared."""
    started, total = time.perf_counter(), 0
    for k in range(10_000_000):
        total += k * k
    return time.perf_counter() - started


def main(clone: Path, others: Sequence[str]) -> int:
    """Run all commands and tell how long they took and what they fetched."""
    readme = (clone / "README.md").read_text("utf-8")
    commands = re.findall(r"^```sh\n(python3 -m venv .*)\n```$", readme, re.MULTILINE)
    assert len(commands) == 2, commands
    alone = [*ISOLATE, "ip", "link", "set", "lo", "up"]
    isolated = (
        all(map(shutil.which, ("unshare", "ip")))
        and not subprocess.run(alone, capture_output=True, check=False).returncode
    )
    pip = settings()
    Gate.hosts = indexes(pip)
    print("open:", *sorted(Gate.hosts), "(by a network of its own)" if isolated else "(by a proxy)")
    table = []
    with home(pip) as env, tempfile.TemporaryDirectory() as folder:
        gate = f"{folder}/gate"
        with Doors(gate, Gate) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            for command in (*commands, *others):
                print(f"\n$ {command}", flush=True)
                before, loop, started = Gate.received.total(), reference(), time.perf_counter()
                status = run(gate, isolated, command, clone, env)
                seconds = time.perf_counter() - started
                loop = (loop + reference()) / 2
                came = (Gate.received.total() - before) / 1e6
                table.append(f"{seconds:6.0f} s {seconds / loop:7.0f} × {came:7.1f} MB  {command}")
                if command in commands and Gate.refused:
                    print("the README's commands asked for other hosts:", *Gate.refused)
                    status = status or 1
                if status:
                    break
            server.shutdown()
    print("\nseconds, multiples of a fixed loop, fetched", *table, sep="\n")
    if Gate.refused:
        print("refused:", *(f"{host} ({n} times)" for host, n in Gate.refused.items()))
    return status


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        sys.exit(inside(*sys.argv[2:]))
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
