"""Ranks that torchrun starts, and ranks on several hosts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small_experiment
from safetensors.torch import load_file

from dsbo import Peers, Trace, run
from dsbo_book.experiments.study import stem

HERE = Path(__file__).parent
PROGRAM = [str(HERE / "small_experiment.py"), "run", "small", "--timeout", "30"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}


def check(folder):
    """The experiment left what one process would have left."""
    (cell,) = small_experiment.CELLS
    start, name = small_experiment.start(cell), stem(cell)
    network = Peers(start.network.W)
    want = run(start.algorithm, start.problem(), network, start.steps, every=start.every)
    got = Trace.load(folder / f"{name}.csv")
    assert got.provenance["network"]["kind"] == "Peers"
    columns = [c for c in want.rows[0] if c != "seconds"]
    assert got.frame[columns].equals(want.frame[columns])
    assert load_file(folder / f"{name}.safetensors")["xbar"].equal(want.state.x.mean(0))


def test_torchrun_restarts_the_ranks_of_one_that_was_killed(tmp_path):
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *words, "--max-restarts", "1", *PROGRAM, "--out", str(tmp_path)],
        env={**ENVIRONMENT, "DIES": "1"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "rank 1 was lost: it gives no sign of life" in done.stderr
    assert "The last checkpoint is of step 100 in" in done.stderr
    assert done.stdout.count("1 runs of small at quick scale over 2 processes") == 2
    check(tmp_path)


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts():
    """Two network namespaces with a cable between them: all that two hosts are to a program."""
    if not shutil.which("ip"):
        pytest.skip("two hosts need network namespaces, and `ip` of iproute2 is not there")
    names = [f"dsbo{os.getpid()}{side}" for side in "ab"]
    made = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        ip("link", "add", "v0", "netns", names[0], "type", "veth", "peer", "v1", "netns", names[1])
        for k, name in enumerate(names):
            ip("-n", name, "addr", "add", f"10.77.0.{k + 1}/24", "dev", f"v{k}")
            for device in ("lo", f"v{k}"):
                ip("-n", name, "link", "set", device, "up")
        yield names
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
    finally:
        for name in made:
            ip("netns", "del", name)


def test_two_hosts_run_one_job(hosts, tmp_path):
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "10.77.0.1", "MASTER_PORT": "29511"}
    started = [
        subprocess.Popen(
            ["ip", "netns", "exec", host, sys.executable, *PROGRAM, "--out", str(tmp_path / host)],
            env={**ENVIRONMENT, **meeting, "RANK": str(rank), "GLOO_SOCKET_IFNAME": f"v{rank}"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank, host in enumerate(hosts)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=120)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], said
    check(tmp_path / hosts[0])
    assert not (tmp_path / hosts[1]).exists()  # rank 0 alone writes
