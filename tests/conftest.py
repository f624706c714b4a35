"""What a terminal shows while chapters run, the order of tests, and how many cases are made up."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

CHAPTER = re.compile(r"test_(?:chapter|a_downloaded_notebook)_runs.*\[([\w-]+)\]$")

# Two sizes of the tests that make up their cases: in every run, and in `nox -s fuzz`.
COMMON = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("quick", derandomize=True, max_examples=15, **COMMON)
settings.register_profile("full", max_examples=800, **COMMON)
settings.load_profile("quick")


class Chapters:
    """Tells of chapters as they start and end; with workers, in their common process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.done, self.all = config, 0, 0

    def say(self, line: str) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        terminal.ensure_newline()
        terminal.write_line(line)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.all = sum(bool(CHAPTER.search(item.nodeid)) for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self.all = sum(bool(CHAPTER.search(one)) for one in ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if name := CHAPTER.search(nodeid):
            self.say(f"  {name[1]} runs")

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        chapter = report.when == "call" and CHAPTER.search(report.nodeid)
        return (report.outcome, "", report.outcome) if chapter else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and (name := CHAPTER.search(report.nodeid)):
            self.done += 1
            mark = "✓" if report.passed else "✗"
            took = f"{report.duration:.0f} s"
            self.say(f"{mark} {name[1]:20} {took:>6}   {self.done} of {self.all}")


@pytest.fixture
def bound() -> Iterator[Path]:
    """A folder of this process, which until the test ends is no root, whom no mode binds."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        if user == 0:
            os.chown(name, 65534, -1)
            os.seteuid(65534)
        try:
            if not os.access(name, os.W_OK, effective_ids=True):
                pytest.skip("another user cannot reach temporary folders")
            yield Path(name)
        finally:
            os.seteuid(user)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start what waits for other processes first, so that no worker is left alone with it."""
    waiting = ("test_peers", "test_hosts", "test_faults", "test_kills")
    items.sort(key=lambda item: not item.nodeid.startswith(tuple(f"tests/{w}" for w in waiting)))


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Chapters(config), "chapters")
