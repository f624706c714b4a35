"""``environment.yml`` and ``pyproject.toml`` name the same requirements."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
ON_CONDA = {"pytorch": "torch"}
PYTHON = "3.12"
"""Of conda's environment: repo2docker takes an old one where no exact version is named."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def conda() -> dict[str, SpecifierSet]:
    """Every requirement of ``environment.yml`` under its name on PyPI."""
    named = {}
    for entry in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]:
        for line in entry["pip"] if isinstance(entry, dict) else [entry]:
            line = re.sub("^python=(?!=)", "python==", line)
            if line not in ("pip", "-e ."):
                requirement = Requirement(line)
                named[ON_CONDA.get(requirement.name, requirement.name)] = requirement.specifier
    return named


def test_conda_installs_the_packages_of_the_package_and_the_book_in_the_same_ranges() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["book"], *extras["site"]]
    pins = {(r := Requirement(line)).name: r.specifier for line in wanted}
    named = conda()
    (exact,) = named.pop("python")
    assert exact.version == PYTHON
    assert SpecifierSet(PROJECT["requires-python"]).contains(PYTHON)
    assert named == pins


def test_version_and_date_are_the_same_everywhere() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == PROJECT["version"]
    heading = f"## [{cited['version']}] - {cited['date-released']}"
    assert heading in (ROOT / "CHANGELOG.md").read_text().splitlines()


def test_conda_uses_no_channel_with_terms_of_its_own() -> None:
    channels = yaml.safe_load((ROOT / "environment.yml").read_text())["channels"]
    assert channels == ["conda-forge", "nodefaults"]


def test_jupyter_book_stays_below_version_two() -> None:
    assert not conda()["jupyter-book"].contains("2.0.0")


def test_constraints_pin_everything_that_is_named_within_its_range() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {}
    for requirement in (Requirement(line) for line in lines if line and not line.startswith("#")):
        (exact,) = requirement.specifier
        pins[requirement.name] = exact.version
    extras = PROJECT["optional-dependencies"].values()
    for line in [*PROJECT["dependencies"], *(line for lines in extras for line in lines)]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(pins[wanted.name]), line


def test_binder_reads_this_environment_and_prepares_jupyter() -> None:
    words = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    told = done.stdout + done.stderr
    assert '--file "environment.yml"' in told
    assert "RUN ./postBuild" in told
    assert f"Building conda environment for python={PYTHON}" in told
