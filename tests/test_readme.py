"""The README's example runs as it stands."""

import re
import shlex
from pathlib import Path

from dsbo.__main__ import parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_ten_lines_solve_a_problem(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), names := {})
    rows = names["trace"].rows
    assert rows[-1]["step"] == 500
    assert rows[-1]["upper_loss"] < rows[0]["upper_loss"]
    assert "upper_loss" in capsys.readouterr().out


def test_links_lead_somewhere_from_anywhere():
    links = re.findall(r"\]\(([^)]+)\)", README) + re.findall(r"^\[.*\]: (.*)$", README, re.M)
    assert len(links) >= 8
    for link in links:
        assert link.startswith("https://")
        _, main, path = link.partition("/main/")
        assert not main or (ROOT / path).is_file(), link


def test_the_first_page_of_the_book_gives_the_same_two_commands():
    commands = re.findall(r"^python3 -m venv .*$", README, re.M)
    assert len(commands) == 2
    page = (ROOT / "book/intro.md").read_text("utf-8")
    assert re.findall(r"^python3 -m venv .*$", page, re.M) == commands


def test_every_command_line_is_understood():
    lines = [line.split("#")[0] for line in README.splitlines() if line.startswith("dsbo ")]
    assert len(lines) >= 7
    for line in (line for line in lines if "--version" not in line):
        parser().parse_args(shlex.split(line)[1:])
