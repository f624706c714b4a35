"""Processes that die, hang, come late or disagree: nothing hangs, and nothing written is lost."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from cases import STEPS, lazy_ring, quadratic

from dsbo import DSOBA, CheckpointError, Diverged, PeerLost, Peers, run
from dsbo.network import join, spawn
from dsbo.network.group import _not_met
from dsbo.network.ranks import Ranks, here
from dsbo.network.watch import LONGEST_TIMEOUT

TIMEOUT = 3.0
LOOPBACK = "127.0.0.1"
RING = 6
THETA = {**STEPS, "theta": 0.3}


def ring(folder=None, beta=0.2, seed=0, steps=40, resume=False):
    """Forty steps on a ring; a checkpoint every ten."""
    _, problem = quadratic(N=RING, noise=0.5)
    return run(
        DSOBA(**{**THETA, "beta": beta}), problem, Peers(lazy_ring(RING)), steps, seed, every=10,
        checkpoint=folder, checkpoint_every=10, resume=resume,
    )  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _imported():
    """Let the process that new ones are forked from import torch, so that no test waits for it."""
    spawn(partial(int, 0), 1)


@cache
def unbroken():
    return ring()


def same_run(trace):
    columns = [c for c in trace.rows[0] if c != "seconds"]
    assert trace.frame[columns].equals(unbroken().frame[columns])
    return all(torch.equal(a, b) for a, b in zip(trace.state, unbroken().state, strict=True))


def broken(victim, how, **settings):
    """The same run, in which something happens to one rank in iteration 25."""
    sound = DSOBA.step

    def step(self, t, s, w):
        if t == 25 and here().rank == victim:
            if how == "sleep":
                time.sleep(60)
            elif how == "raise":
                raise ZeroDivisionError("a mistake of one rank")
            os.kill(os.getpid(), how)
        return sound(self, t, s, w)

    DSOBA.step = step  # in this process, which ends with the run
    return ring(**settings)


@pytest.mark.parametrize(
    ("victim", "how", "seen"),
    [
        (1, signal.SIGKILL, "no sign of life"),
        (0, signal.SIGKILL, "no sign of life"),
        (2, signal.SIGSTOP, "no sign of life.*Timed out"),
        (1, "sleep", "alive but behind all others, and sent nothing for 3 s"),
    ],
)
def test_a_lost_rank_ends_the_run_which_then_goes_on(tmp_path, victim, how, seen):
    started = time.monotonic()
    with pytest.raises(PeerLost, match=f"rank {victim} was lost: .*{seen}") as caught:
        spawn(partial(broken, victim, how, folder=tmp_path), 3, TIMEOUT)
    assert time.monotonic() - started < 4 * TIMEOUT
    assert caught.value.rank == victim
    assert caught.value.kept == f"The last checkpoint is of step 20 in {tmp_path}; resume from it"
    again = partial(ring, folder=tmp_path, resume=True)
    assert same_run(spawn(again, 2, TIMEOUT)[0])


def test_a_job_that_leaves_does_not_take_its_parent_along():
    with pytest.raises(RuntimeError, match=r"the job of rank 0 ended with SystemExit\(0\)"):
        spawn(partial(sys.exit, 0), 2, TIMEOUT)
    with pytest.raises(ValueError, match="processes must be at least 1, got 0"):
        spawn(partial(int, 0), 0)


def test_an_error_of_one_rank_is_the_error_of_the_run(tmp_path):
    with pytest.raises(ZeroDivisionError, match="a mistake of one rank"):
        spawn(partial(broken, 1, "raise", folder=tmp_path), 3, TIMEOUT)
    assert same_run(ring(folder=tmp_path, resume=True))


def test_a_truncated_checkpoint_is_refused_by_all_ranks(tmp_path):
    ring(folder=tmp_path, steps=20)
    file = next(tmp_path.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=r"truncated.*delete"):
        spawn(partial(ring, folder=tmp_path, resume=True), 2, TIMEOUT)


def test_all_ranks_diverge_at_the_same_step(tmp_path):
    with pytest.raises(Diverged, match=r"y is not finite after step \d+") as caught:
        spawn(partial(ring, folder=tmp_path, beta=1e200), 3, TIMEOUT)
    with pytest.raises(Diverged) as alone:
        ring(beta=1e200)
    assert caught.value.step == alone.value.step
    pairs = zip(caught.value.trace.state, alone.value.trace.state, strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def one_diverges(victim):
    sound = DSOBA.step

    def step(self, t, s, w):
        s = sound(self, t, s, w)
        return s._replace(y=s.y * torch.nan) if (here().rank, t) == (victim, 5) else s

    DSOBA.step = step
    return ring(steps=20)


def test_what_one_rank_cannot_go_on_with_ends_all_with_the_whole_trace():
    with pytest.raises(Diverged, match="y is not finite after step 6") as caught:
        spawn(partial(one_diverges, 1), 3, TIMEOUT)
    assert len(caught.value.trace.state.x) == RING


def seed_of_its_own():
    return ring(seed=here().rank)


def weights_of_its_own():
    _, problem = quadratic(N=RING)
    W = lazy_ring(RING) if here().rank else (lazy_ring(RING) + torch.eye(RING).numpy()) / 2
    return run(DSOBA(**THETA), problem, Peers(W), 10)


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (seed_of_its_own, r"rank 1 was started otherwise than rank 0: seed is 1, on rank 0 0"),
        (weights_of_its_own, r"rank 1 was started otherwise than rank 0: network is .*sha256"),
    ],
)
def test_ranks_with_other_settings_are_refused(job, says):
    with pytest.raises(ValueError, match=says):
        spawn(job, 2, TIMEOUT)


def late(victim):
    """What is warned of on rank 0 while one rank takes its time."""
    sound = DSOBA.step

    def step(self, t, s, w):
        if here().rank == victim:
            time.sleep(0.15)
        return sound(self, t, s, w)

    DSOBA.step = step
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ring(steps=20)
    return [str(warning.message) for warning in caught]


def test_a_slow_rank_is_reported_once():
    first, *others = spawn(partial(late, 1), 3, 30)
    assert len(first) == 1
    assert first[0].startswith("rank 1 is slow: since the last row it computed for")
    assert others == [[], []]


def test_more_processes_than_agents_are_refused():
    with pytest.raises(ValueError, match="4 agents cannot be spread over 5 processes"):
        Ranks(0, 5).blocks(4)


def listening():
    """The addresses, in hexadecimal, at which this process listens."""
    own = {str(fd.readlink()) for fd in Path("/proc/self/fd").glob("*") if fd.is_symlink()}
    lines = "".join(Path(f"/proc/net/{file}").read_text() for file in ("tcp", "tcp6"))
    rows = [line.split() for line in lines.splitlines()]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own}


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells who listens")
def test_ranks_listen_on_the_loopback_interface_alone():
    assert set().union(*spawn(listening, 2, TIMEOUT)) == {"0100007F"}


@pytest.fixture
def port():
    with socket.create_server((LOOPBACK, 0)) as server:
        return server.getsockname()[1]


def environment(monkeypatch, **variables):
    told = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "LOCAL_RANK": "0"}
    for name, value in {**told, **variables}.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize(
    ("taken", "rank", "says"),
    [
        (True, 0, "address already in use"),
        (False, 1, "Timed out|timed out"),
        (False, 0, r"1/2 clients joined"),
    ],
)
def test_ranks_that_do_not_meet_say_what_they_were_told(taken, rank, says, port, monkeypatch):
    environment(monkeypatch, RANK=rank, MASTER_PORT=port)
    with contextlib.ExitStack() as stack:
        if taken:
            stack.enter_context(socket.create_server((LOOPBACK, port)))
        with pytest.raises(ConnectionError, match=rf"within 1 s: .*({says}).*'RANK': '{rank}'"):
            join(timeout=1).__enter__()


MEET = "from dsbo.network import join\nwith join(timeout=30) as r: print(r.gather(r.rank))"


@pytest.mark.parametrize("address", ["::1", "ip6-localhost", "localhost"])
def test_ranks_meet_at_an_address_of_either_version(address, port):
    try:
        socket.create_server((address, 0), family=socket.getaddrinfo(address, 0)[0][0]).close()
    except OSError as error:
        pytest.skip(f"this machine cannot listen at {address}: {error}")
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": address, "MASTER_PORT": str(port)}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", MEET], env=os.environ | meeting | {"RANK": str(rank)},
            stdout=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        assert [rank.communicate(timeout=60)[0] for rank in ranks] == ["[0, 1]\n"] * 2
    finally:
        for rank in ranks:
            rank.kill()


@pytest.mark.parametrize("address", ["[::1]", "nowhere.invalid", "a..b", "1.2.3.4.5"])
def test_an_address_that_is_none_is_told(address, port, monkeypatch):
    environment(monkeypatch, RANK=1, MASTER_ADDR=address, MASTER_PORT=port)
    with pytest.raises(
        ConnectionError, match=r"MASTER_ADDR is no address .*'MASTER_ADDR': "
    ) as told:
        join(timeout=1).__enter__()
    assert repr(address) in str(told.value)


def test_ranks_that_meet_in_a_file_are_told_of_no_address(monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert "within 1 s: Connection closed. This is" in str(
        _not_met(OSError("Connection closed"), 1)
    )


def test_a_machine_without_ipv6_is_told(port, monkeypatch):
    def without(*_):
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    environment(monkeypatch, RANK=1, MASTER_ADDR="::1", MASTER_PORT=port)
    monkeypatch.setattr(socket, "socket", without)
    with pytest.raises(ConnectionError, match=r"no way to ::1 \(Address family not supported"):
        join(timeout=1).__enter__()


def test_a_process_that_torchrun_did_not_start_is_told_how_to(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ValueError, match=r"RANK expected.*torchrun --nproc-per-node"):
        join().__enter__()


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf"), 1e300])
def test_a_timeout_that_never_or_always_passes_is_refused(timeout, port, monkeypatch):
    environment(monkeypatch, WORLD_SIZE=1, MASTER_PORT=port)
    for start in (lambda: join(timeout).__enter__(), lambda: spawn(os.getpid, 1, timeout)):
        with pytest.raises(ValueError, match="; give seconds above 0 and up to 1e"):
            start()


def test_the_longest_timeout_is_one(port, monkeypatch):
    environment(monkeypatch, WORLD_SIZE=1, MASTER_PORT=port)
    with join(timeout=LONGEST_TIMEOUT) as ranks:
        assert ranks.count == 1


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "MASTER_PORT"])
def test_a_variable_of_torchrun_that_is_no_number_is_told(name, port, monkeypatch):
    environment(monkeypatch, **{"WORLD_SIZE": 1, "MASTER_PORT": port, name: "many"})
    with pytest.raises(ValueError, match=rf"'many'.*'{name}': 'many'.*torchrun --nproc-per-node"):
        join().__enter__()


def test_a_rank_without_a_gpu_of_its_own_is_refused(port, monkeypatch):
    environment(monkeypatch, WORLD_SIZE=1, MASTER_PORT=port, LOCAL_RANK=1)
    with pytest.raises(ValueError, match=r"rank 0 is process 1 of a machine with 0 GPUs"):
        join(device="cuda").__enter__()


def test_what_joining_sets_is_put_back_and_networks_of_before_are_refused(port, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    environment(monkeypatch, WORLD_SIZE=1, MASTER_PORT=port)
    torch.set_num_threads(2)
    before = torch.get_num_threads(), dict(os.environ)
    early = Peers(lazy_ring(RING))
    with join(timeout=5):
        with pytest.raises(RuntimeError, match="has joined others already"):
            join().__enter__()
        with pytest.raises(ValueError, match="made before this process joined others"):
            run(DSOBA(**THETA), quadratic(N=RING)[1], early, 1)
        late = Peers(lazy_ring(RING))
        assert run(DSOBA(**THETA), quadratic(N=RING)[1], late, 1).rows
    assert (torch.get_num_threads(), dict(os.environ)) == before
    torch.set_num_threads(1)
    assert early.held == late.held == range(RING)
