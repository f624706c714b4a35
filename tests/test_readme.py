"""The README's example runs as it stands."""

import re
import shlex
from pathlib import Path

from dsbo.__main__ import parser

README = (Path(__file__).resolve().parents[1] / "README.md").read_text("utf-8")


def test_the_ten_lines_solve_a_problem(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), names := {})
    rows = names["trace"].rows
    assert rows[-1]["step"] == 500
    assert rows[-1]["upper_loss"] < rows[0]["upper_loss"]
    assert "upper_loss" in capsys.readouterr().out


def test_every_command_line_is_understood():
    lines = [line.split("#")[0] for line in README.splitlines() if line.startswith("dsbo ")]
    assert len(lines) >= 4
    for line in lines:
        parser().parse_args(shlex.split(line)[1:])
