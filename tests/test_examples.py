"""Every program in examples/ succeeds by its own judgement, in an empty folder, and is short."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SUCCEEDS = {
    "actor_critic": (
        r"([\d.]+) before, ([\d.]+) after, ([\d.]+)",
        lambda a, b, c: a < c and c - b < 0.05 * (c - a),
    ),
    "cleaning_cnn": (r"AUC of the weights: (\d\.\d\d)", lambda auc: auc > 0.9),
    "domains": (r"sources: ([\d.]+), ([\d.]+), ([\d.]+)", lambda a, b, c: a > 2 * (b + c)),
    "learned_regulariser": (r"([\d.]+) as it starts, ([\d.]+) as learned", lambda a, b: b < a / 4),
    "minimax": (r"([\d.]+) before, ([\d.e+-]+) after", lambda a, b: b < a / 1000),
    "personal_heads": (r"([\d.]+) before, ([\d.]+) after", lambda a, b: b < a / 4),
    "transformer": (r"sources: ([\d.]+), ([\d.]+), ([\d.]+)", lambda a, b, c: a > 9 * (b + c)),
    "unequal_shards": (r"([\d.]+) before, ([\d.]+) after", lambda a, b: b < a / 2),
}
"""What a program prints, and what its numbers must be."""


def source(name: str) -> str:
    return (ROOT / "examples" / f"{name}.py").read_text("utf-8")


def test_every_example_is_known_and_in_the_readme():
    assert sorted(SUCCEEDS) == sorted(path.stem for path in (ROOT / "examples").iterdir())
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in SUCCEEDS if f"`{name}`" not in readme] == []


@pytest.mark.parametrize("name", SUCCEEDS)
def test_an_example_has_at_most_25_lines_of_code_and_says_what_it_shows(name):
    told, *rest = ast.parse(source(name)).body
    lines = source(name).splitlines()[told.end_lineno :]
    code = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    assert ast.get_docstring(ast.parse(source(name)))
    assert isinstance(rest[-1], ast.Assert), "the last line asserts the success"
    assert len(code) <= 25, f"{name}.py has {len(code)} lines"


@pytest.mark.parametrize("name", SUCCEEDS)
def test_an_example_succeeds(name, tmp_path):
    words, holds = SUCCEEDS[name]
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = re.search(words, done.stdout)
    assert found, done.stdout
    assert holds(*map(float, found.groups()))
    assert not list(tmp_path.iterdir())
