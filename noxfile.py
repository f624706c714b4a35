"""Every check of the project; plain ``nox`` runs the ones a change must pass."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True

# Two kernels on two cores must not each start a thread a core.
KERNEL_ENV = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
# uv does not read pip's settings: hand it pip's wheel folder, where one is set.
if "PIP_FIND_LINKS" in os.environ:
    os.environ.setdefault("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"])

PYTHON = ("src", "tests", "noxfile.py", "book/_ext", "book/_inv")
EXTRAS = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]


def install(session: nox.Session, *extras: str) -> None:
    """Install the package with some of its extras, at the versions CI runs."""
    session.install("-e", f".[{','.join(extras)}]", "-c", "constraints.txt")


@nox.session
def lint(session: nox.Session) -> None:
    """Style of the package, the tests and the cells of the chapters."""
    session.install(*EXTRAS["lint"])
    bench = ("bench",) if Path("bench").is_dir() else ()
    session.run("ruff", "check", *PYTHON, *bench)
    session.run("ruff", "format", "--check", *PYTHON, *bench)
    # Ruff finds no Python in a MyST page and passes it, but it does read the cells of an .ipynb.
    pages = [p for p in sorted(Path("book").glob("*.md")) if "{code-cell}" in p.read_text("utf-8")]
    if not pages:
        session.error("no page with a code cell in book/")
    notebooks = [str(Path(session.create_tmp()) / f"{page.stem}.ipynb") for page in pages]
    for page, notebook in zip(pages, notebooks, strict=True):
        session.run(
            "jupytext", "--quiet", "--from", "md:myst", "--to", "ipynb",
            "--output", notebook, str(page),
        )  # fmt: skip
    session.run("ruff", "check", "--config", "book/cells.ruff.toml", *notebooks)
    session.run("ruff", "format", "--diff", "--config", "book/cells.ruff.toml", *notebooks)


@nox.session
def typecheck(session: nox.Session) -> None:
    """Types of the package, strictly."""
    install(session, "typecheck")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Unit tests and the examples in docstrings, with a floor for coverage."""
    install(session, "test")
    session.run(
        "pytest", "-m", "not notebook and not browser", "-n", "2", "--dist", "loadgroup",
        "--doctest-modules",
        *(session.posargs or ("--cov", "--cov-report=term-missing:skip-covered", "tests", "src")),
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session
def notebooks(session: nox.Session) -> None:
    """Execute every chapter in a fresh kernel, two at a time."""
    install(session, "test", "book")
    # Here a download has its progress bar; without a network the pages do without the data.
    session.run("dsbo", "data", "fetch", "fashion_mnist", success_codes=[0, 1])
    session.run(
        "pytest", "-m", "notebook", "-n", "2", "--dist", "worksteal", "--durations=0",
        *(session.posargs or ("tests/test_notebooks.py",)), env=KERNEL_ENV,
    )  # fmt: skip


@nox.session(requires=["notebooks"])
def book(session: nox.Session) -> None:
    """Build the book; a warning is an error."""
    install(session, "book")
    # Without --all a second build does not repeat the warnings of pages that did not change.
    session.run(
        "jupyter-book", "build", "book", "-W", "-n", "--keep-going", "--all", env=KERNEL_ENV
    )


@nox.session(default=False, requires=["book"])
def browser(session: nox.Session) -> None:
    """Open every built page in headless Chromium: math, links out, layout, accessibility."""
    session.install(*EXTRAS["browser"])
    session.run(
        "pytest", "-m", "browser", "--confcutdir=tests/browser", "-n", "2", "--durations=10",
        *(session.posargs or ("tests/browser",)),
    )  # fmt: skip


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Time a step of each algorithm."""
    install(session)
    session.run("python", "bench/bench.py", *session.posargs)


@nox.session(default=False)
def mutants(session: nox.Session) -> None:
    """Seed faults one at a time; a test or a chapter must catch each."""
    install(session, "test", "book")
    session.run("python", "bench/mutants.py", *session.posargs, env=KERNEL_ENV)


@nox.session(default=False)
def records(session: nox.Session) -> None:
    """Run the experiments at the size of the papers and store their traces."""
    install(session, "parquet")
    for name, scale in (
        ("cleaning-tuning", "paper"),
        ("cleaning", "paper"),
        ("cleaning-tuning", "small"),
        ("cleaning", "small"),
        ("meta-tuning", "paper"),
        ("meta", "paper"),
        ("a9a-tuning", "paper"),
        ("a9a", "paper"),
        ("a9a", "long"),
        ("logistic-tuning", "paper"),
        ("logistic", "paper"),
        ("logistic-theta", "paper"),
        ("logistic-size", "paper"),
        ("nonlinear", "paper"),
        ("complexity-tuning", "paper"),
        ("complexity", "paper"),
        ("sparkle-tuning", "paper"),
        ("sparkle", "paper"),
    ):
        # Printed steps of meta and too large candidates of others diverge, which exits with 3.
        session.run(
            "python", "-m", "dsbo", "run", name, "--scale", scale, "--resume",
            "--out", f"book/records/{name}-{scale}.npz", *session.posargs, success_codes=[0, 3],
        )  # fmt: skip
    session.run(
        "python", "-m", "dsbo", "plot", "book/records/cleaning-paper.npz", "--only", "rate=0.2",
        "--y", "upper_loss", "auc", "--out", "book/_static/cleaning.svg",
    )  # fmt: skip


@nox.session(default=False)
def linkcheck(session: nox.Session) -> None:
    """Follow the links that leave the book; needs the internet."""
    install(session, "book")
    # A report beside the pages would be published with them.
    session.run(
        "jupyter-book", "build", "book", "--builder", "linkcheck",
        "--path-output", session.create_tmp(), env=KERNEL_ENV,
    )  # fmt: skip
