"""``environment.yml`` and ``pyproject.toml`` name the same requirements."""

import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
ON_CONDA = {"pytorch": "torch"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def conda() -> dict[str, SpecifierSet]:
    """Every requirement of ``environment.yml`` under its name on PyPI."""
    named = {}
    for entry in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]:
        for line in entry["pip"] if isinstance(entry, dict) else [entry]:
            if line not in ("pip", "-e ."):
                requirement = Requirement(line)
                named[ON_CONDA.get(requirement.name, requirement.name)] = requirement.specifier
    return named


def test_conda_installs_the_packages_of_the_package_and_the_book_in_the_same_ranges() -> None:
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["book"]]
    pins = {(r := Requirement(line)).name: r.specifier for line in wanted}
    assert conda() == pins | {"python": SpecifierSet(PROJECT["requires-python"])}


def test_conda_uses_no_channel_with_terms_of_its_own() -> None:
    channels = yaml.safe_load((ROOT / "environment.yml").read_text())["channels"]
    assert channels == ["conda-forge", "nodefaults"]


def test_jupyter_book_stays_below_version_two() -> None:
    assert not conda()["jupyter-book"].contains("2.0.0")


def test_constraints_lie_within_the_ranges() -> None:
    pins = {(r := Requirement(line)).name: r.specifier for line in PROJECT["dependencies"]}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    for requirement in (Requirement(line) for line in lines if line and not line.startswith("#")):
        (exact,) = requirement.specifier
        assert pins[requirement.name].contains(exact.version)
