"""The README's example runs as it stands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dsbo_book.cli import parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_ten_lines_solve_a_problem(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), names := {})
    rows = names["trace"].rows
    assert rows[-1]["step"] == 500
    assert rows[-1]["upper_loss"] < rows[0]["upper_loss"]
    assert "upper_loss" in capsys.readouterr().out


BOOK_ONLY = ("sympy", "matplotlib", "scipy", "sklearn", "pandas", "requests", "filelock")


def test_the_ten_lines_need_five_libraries():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    what = (
        "import sys, torch\ntorch.func.grad(torch.exp)(torch.tensor(1.0))  # loads SymPy itself\n"
        "before = set(sys.modules)\nimport dsbo\nassert 'networkx' not in sys.modules\n"
        f"{code}\nprint(set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", what], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"'([\w.]+)'", done.stdout.splitlines()[-1]))
    assert "networkx" in loaded
    assert not {name.partition(".")[0] for name in loaded} & {*BOOK_ONLY, "dsbo_book"}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["list"], 0, "DSOBA"),
        (["--help"], 0, "dsbo list"),
        (["run", "logistic"], 1, "pip install 'dsbo[book]'"),
        (["plot", "runs"], 1, "pip install 'dsbo[book]'"),
        (["data", "verify", "mnist"], 1, "pip install 'dsbo[book]'"),
    ],
)
def test_without_the_book_the_command_helps_lists_and_names_the_extra(words, code, says):
    missing = dict.fromkeys((*BOOK_ONLY, "platformdirs"))
    what = f"import sys; sys.modules |= {missing}; from dsbo_book.cli import main; "
    run = [sys.executable, "-c", f"{what}sys.exit(main({words}))"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert says in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "new"),
    [
        ("from dsbo import claim", "dsbo_book.claim"),
        ("from dsbo import data", "dsbo_book.data"),
        ("from dsbo.data import load", "dsbo_book.data"),
        ("import dsbo.experiments", "dsbo_book.experiments"),
        ("from dsbo.problems import Cleaning", "dsbo_book.problems.hyper_cleaning"),
    ],
)
def test_who_asks_for_what_has_moved_is_told_its_place(line, new):
    with pytest.raises(ImportError, match=rf"is {new} now"):
        exec(line)


def test_links_lead_somewhere_from_anywhere():
    links = re.findall(r"\]\(([^)]+)\)", README) + re.findall(r"^\[.*\]: (.*)$", README, re.M)
    assert len(links) >= 8
    for link in links:
        assert link.startswith("https://")
        _, main, path = link.partition("/main/")
        assert not main or (ROOT / path).exists(), link


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
