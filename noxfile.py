"""Every check of the project; plain ``nox`` runs the ones a change must pass."""

from __future__ import annotations

import ast
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

# Two kernels on two cores must not each start a thread a core.
OURS = "cpu"
KERNEL_ENV = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
PYTHON = ("src", "tests", "examples", "noxfile.py", "book/_ext", "book/_inv", "bench", ".ci")
PINNED = () if "DSBO_UNPINNED" in os.environ else ("-c", "constraints.txt")
UNIT = "not notebook and not browser and not download and not originals and not fuzz"
PROJECT = nox.project.load_toml("pyproject.toml")["project"]
EXTRAS = PROJECT["optional-dependencies"]
REPOSITORY = PROJECT["urls"]["Source"]


@functools.cache
def hand_over_pip_settings() -> None:
    """Tell uv, which does not read pip's settings, where pip finds packages.

    Where pip has none, take PyTorch's build for the CPU from where uv knows it to be: on Linux
    PyPI's brings gigabytes of CUDA.
    """
    command = [sys.executable, "-m", "pip", "config", "list"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for name, variable in (
        ("cert", "SSL_CERT_FILE"),
        ("find-links", "UV_FIND_LINKS"),
        ("index-url", "UV_DEFAULT_INDEX"),
        ("no-index", "UV_NO_INDEX"),
    ):
        found = dict(re.findall(rf"^(global|install|:env:)\.{name}=('.*')$", told, re.MULTILINE))
        value = found.get(":env:") or found.get("install") or found.get("global")
        if value:
            os.environ.setdefault(variable, ",".join(ast.literal_eval(value).split()))
    if not {"UV_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_INDEX"} & os.environ.keys():
        os.environ.setdefault("UV_TORCH_BACKEND", OURS)


def install(session: nox.Session, *what: str, pins: Sequence[str] = PINNED) -> None:
    """Install what is named, at the versions CI runs."""
    hand_over_pip_settings()
    try:
        session.install(*what, *pins)
    except CommandFailed:
        if os.environ.get("UV_TORCH_BACKEND") != OURS:
            raise
        session.warn("trying again with PyPI's PyTorch, which on Linux brings gigabytes of CUDA")
        del os.environ["UV_TORCH_BACKEND"]
        session.install(*what, *pins)


@nox.session
def lint(session: nox.Session) -> None:
    """Style of the package, the tests and the cells of the chapters."""
    install(session, *EXTRAS["lint"])
    session.run("ruff", "check", *PYTHON)
    session.run("ruff", "format", "--check", *PYTHON)
    session.run("lint-imports", env={"PYTHONPATH": "src"})
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
    """Types of the package and of the examples, strictly, and of what the README shows."""
    install(session, "-e", ".[book,typecheck]")
    session.run("mypy")
    shown = re.findall(r"```python\n(.*?)```", Path("README.md").read_text("utf-8"), re.DOTALL)
    session.run("mypy", "--config-file=", "--strict", "-c", "\n".join(shown))


@nox.session
def tests(session: nox.Session) -> None:
    """Unit tests and the examples in docstrings, with a floor for coverage."""
    install(session, "-e", ".[book,test]")
    session.run(
        "pytest", "-m", UNIT, "-n", "2", "--dist", "loadgroup",
        "--doctest-modules",
        *(session.posargs or ("--cov", "--cov-report=term-missing:skip-covered", "tests", "src")),
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session
def book(session: nox.Session) -> None:
    """Execute every chapter, two at a time; build the book from that; a warning is an error."""
    install(session, "-e", ".[book,site,test]")
    session.run(
        "pytest", "-m", "notebook", "-n", "2", "--dist", "worksteal", "--durations=0",
        *(session.posargs or ("tests/test_notebooks.py",)), env=KERNEL_ENV,
    )  # fmt: skip
    # Without --all a second build does not repeat the warnings of pages that did not change.
    session.run(
        "jupyter-book", "build", "book", "-W", "-n", "--keep-going", "--all", env=KERNEL_ENV
    )


@nox.session(default=False)
def reading(session: nox.Session) -> None:
    """Count what a reader meets on each page, and hold it to its limits."""
    install(session, "jupytext")
    session.run("python", "bench/reading.py")


@nox.session(default=False, requires=["book"])
def browser(session: nox.Session) -> None:
    """Open every built page in headless Chromium: math, links out, layout, accessibility."""
    install(session, *EXTRAS["browser"])
    session.run(
        "pytest", "-m", "browser", "--confcutdir=tests/browser", "-n", "2", "--durations=10",
        *(session.posargs or ("tests/browser",)),
    )  # fmt: skip


@nox.session(default=False, requires=["book"])
def downloads(session: nox.Session) -> None:
    """Run every notebook of the built book as a reader does who downloads it, by its first cell.

    One that touches no file and no other process runs as far as its imports: the rest of it is
    what ``nox -s book`` ran.

    In an environment with PyTorch and Jupyter, as Colab is; git is told that the repository which
    the first cell names is this one, at its last commit.
    """
    install(session, "torch", "pip", *EXTRAS["downloads"])
    here = Path.cwd().as_uri()
    env = {
        **KERNEL_ENV,
        "PIP_CONSTRAINT": str(Path("constraints.txt").resolve()) if PINNED else "",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{here}.insteadOf",
        "GIT_CONFIG_VALUE_0": REPOSITORY,
    }
    session.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "dsbo", silent=True)
    # The first one installs; two at once would do so over one another.
    for words in (("-k", "status"), ("-n", "2", "--dist", "worksteal", "--durations=0")):
        session.run("pytest", "-m", "download", "tests/test_downloads.py", *words, env=env)


@nox.session(default=False)
def originals(session: nox.Session) -> None:
    """Compare loaders, samples and records with the original data, which DSBO_DATA must hold."""
    install(session, "-e", ".[book,test]")
    session.run(
        "pytest", "-m", "originals", "-n", "2", "--durations=0", *session.posargs, "tests",
        env=KERNEL_ENV,
    )  # fmt: skip


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Make up far more damaged files and cases than the unit tests do; a seed may follow."""
    install(session, "-e", ".[book,test]")
    session.run(
        "pytest", "-m", "hypothesis or fuzz", "-n", "2", "--hypothesis-profile=full",
        f"--hypothesis-seed={next(iter(session.posargs), 0)}", "--durations=0", "tests",
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session(default=False, python=["3.11", "3.12", "3.13", "3.14"])
def pythons(session: nox.Session) -> None:
    """Run the unit tests on another version of Python, with the newest versions of everything."""
    install(session, ".[book,test]", pins=())
    session.run("pytest", "-m", UNIT, "-n", "2", "--dist", "loadgroup", *session.posargs)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Write constraints.txt anew: the newest of everything but PyTorch, whose pin moves by hand."""
    hand_over_pip_settings()
    session.install("uv")
    pins, folder = Path("constraints.txt"), Path(session.create_tmp())
    head, torch = (
        next(line for line in pins.read_text("utf-8").splitlines() if line.startswith(start))
        for start in ("# ", "torch==")
    )
    (folder / "torch.txt").write_text(torch)
    session.run(
        "uv", "pip", "compile", "pyproject.toml", "--all-extras", "--python-version", "3.11",
        "--no-annotate", "--no-header", "-c", str(folder / "torch.txt"), "-o", str(folder / "all"),
    )  # fmt: skip
    # "+cpu" tells one build of PyTorch from another, not one version.
    lines = [line.partition("+")[0] for line in (folder / "all").read_text().splitlines()]
    pins.write_text("\n".join([head, *lines, ""]), "utf-8")


@nox.session(default=False)
def release(session: nox.Session) -> None:
    """Build wheel and sdist into dist/ and check them; the tag, if one is given, is the version."""
    tag = f"v{PROJECT['version']}"
    if session.posargs and session.posargs != [tag]:
        session.error(f"the tag is {session.posargs[0]}, the version in pyproject.toml makes {tag}")
    install(session, *EXTRAS["release"])
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Time steps, hypergradients and sweeps against their floors and against other packages."""
    install(session, "-e", ".[book]")
    for peer in ("jaxopt", "torchopt"):
        try:
            session.install(peer, *PINNED)
        except CommandFailed:
            session.warn(f"{peer} does not install here, and is left out")
    session.run("python", "bench/bench.py", *session.posargs)


@nox.session(default=False)
def mutants(session: nox.Session) -> None:
    """Seed faults one at a time; a test or a chapter must catch each."""
    install(session, "-e", ".[book,site,test]")
    session.run("python", "bench/mutants.py", *session.posargs, env=KERNEL_ENV)


@nox.session(default=False)
def suggested(session: nox.Session) -> None:
    """Compare what suggest gives with steps tuned by hand, for all that pages run."""
    install(session, "-e", ".[book,site,test]")
    session.run("python", "bench/suggested.py", *session.posargs)


@nox.session(default=False)
def mistuned(session: nox.Session) -> None:
    """Compare steps up to a hundred times too short and too long, of D-SOBA and of AdaSDBO-GT."""
    install(session, "-e", ".[book,site,test]")
    session.run("python", "bench/mistuned.py", *session.posargs)


@nox.session(default=False)
def vacuous(session: nox.Session) -> None:
    """Evaluate every claim again with its right side made wrong; it must not hold."""
    install(session, "-e", ".[book,site,test]")
    session.run("python", "bench/vacuous.py", *session.posargs, env=KERNEL_ENV)


@nox.session(default=False)
def records(session: nox.Session) -> None:
    """Run the experiments at the size of the papers and store their traces."""
    install(session, "-e", ".[book]")
    sys.path.append("src")
    from dsbo_book.experiments import recorded  # which needs nothing else

    for name, scale in recorded():
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
    install(session, "-e", ".[book,site]")
    # A report beside the pages would be published with them.
    session.run(
        "jupyter-book", "build", "book", "--builder", "linkcheck",
        "--path-output", session.create_tmp(), env=KERNEL_ENV,
    )  # fmt: skip
