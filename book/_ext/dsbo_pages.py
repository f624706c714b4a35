"""Hooks of the book's build: local MathJax, a cache keyed on the code, notebooks for Colab."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import subprocess
from importlib import import_module
from importlib.metadata import version
from inspect import isclass, isroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import nbformat
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinx.util.fileutil import copy_asset

from dsbo.algorithms import ALGORITHMS
from dsbo.algorithms.base import Algorithm, Momenta

if TYPE_CHECKING:
    from types import ModuleType

    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment

ROOT = Path(__file__).resolve().parents[2]
MATHJAX = (
    "tex-chtml.js",
    "output/chtml/fonts/woff-v2",
    "input/tex/extensions",
    "a11y",
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
)
LIBRARIES = ("matplotlib", "networkx", "numpy", "pandas", "scikit-learn", "sympy", "torch")
TOLD = ("State", "title", "source", "colour", "cost", "shared_lower", "centralised")
"""What a class says of itself, for programs; its docstring says it to readers."""
PUBLISHED_ON = "gh-pages"
INSTALL = '''\
try:
    import dsbo_book.claims
except ImportError:
    %pip install --quiet "dsbo[book] @ git+{repository}{version}"'''


def mathjax_dir() -> Path:
    """Find MathJax 3 in the PyPI package that ships it."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    place = Path(spec.origin).parent / "static/mathjax" if spec and spec.origin else None
    if place is None or not (place / "tex-chtml.js").is_file():
        raise ExtensionError("no local MathJax 3: pip install sphinx-mathjax-offline")
    return place


def code_key() -> str:
    """Hash what the outputs of a chapter depend on besides its own cells."""
    digest = hashlib.sha256()
    files = [*(ROOT / "src").rglob("*"), *(ROOT / "book/records").glob("*")]
    for path in sorted(p for p in files if p.is_file() and "__pycache__" not in p.parts):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    for name in LIBRARIES:
        digest.update(f"{name}={version(name)}".encode())
    digest.update(platform.python_version().encode())
    digest.update(os.environ.get("DSBO_SCALE", "quick").encode())
    return digest.hexdigest()[:12]


def configure(app: Sphinx, config: Config) -> None:
    """Point the execution cache and MathJax at their local places."""
    config.nb_execution_cache_path = str(Path(app.outdir).parent / ".jupyter_cache" / code_key())
    config.mathjax_path = "mathjax/tex-chtml.js"


class Modules(SphinxDirective):
    """Document modules: their public names in a table, then each with its docstrings.

    Without a list, those that define an algorithm; with ``table`` the table alone.
    """

    has_content = True
    option_spec: ClassVar = {"table": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return a table of all, and what autodoc makes of each."""
        methods = dict.fromkeys(cls.__module__ for cls in (Algorithm, Momenta, *ALGORITHMS))
        modules = {name: import_module(name) for name in self.content or methods}
        table, text = [".. autosummary::", "   :nosignatures:", ""], []
        for name, module in modules.items():
            own = {each: value for each, value in public(module).items() if each not in TOLD}
            if "table" in self.options:
                table += [f"   ~{value.__module__}.{each}" for each, value in own.items()]
                continue
            table += [f"   ~{name}.{each}" for each in own]
            names = ", ".join(getattr(module, "__all__", own))
            text += ["", f".. automodule:: {name}", f"   :members: {names}"]
            text += ["   :imported-members:"] if hasattr(module, "__path__") else []
            text += [f"   :exclude-members: {', '.join(TOLD)}"] if name in methods else []
        container = nodes.container()
        lines = StringList(["```{eval-rst}", *table, *text, "```"])
        self.state.nested_parse(lines, self.content_offset, container)
        return container.children


def public(module: ModuleType) -> dict[str, Any]:
    """Return the functions and classes that a module shows to its users."""
    names = getattr(module, "__all__", [name for name in vars(module) if name[0] != "_"])
    values = {name: vars(module)[name] for name in names}
    own = f"{module.__name__}."
    return {
        name: value
        for name, value in values.items()
        if (isroutine(value) or isclass(value)) and f"{value.__module__}.".startswith(own)
    }


def copy_mathjax(app: Sphinx, exc: Exception | None) -> None:
    """Copy the part of MathJax that pages load; in ``_static`` each script would load itself."""
    if exc is None and app.builder.format == "html":
        source, target = mathjax_dir(), Path(app.outdir) / "_static/mathjax"
        for name in MATHJAX:
            where = target / name
            copy_asset(source / name, where if (source / name).is_dir() else where.parent)


def drop_thebe(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _: Any) -> None:
    """Remove sphinx-thebe's scripts: it loads them even when it is off, and twice."""
    context["script_files"] = [
        js
        for js in context.get("script_files", [])
        if "THEBE_JS_URL" not in (getattr(js, "attributes", {}).get("body") or "")
        and "sphinx-thebe.js" not in str(getattr(js, "filename", ""))
    ]


def mend_markup(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _: Any) -> None:
    """Mend what assistive technology trips over in the HTML of docutils and of pandas."""
    body = context.get("body", "")
    # An entry of the bibliography gets the role that the list around it asks for.
    body = body.replace('role="doc-biblioentry"', 'role="listitem"')
    # The corner of a DataFrame is a header of nothing.
    context["body"] = body.replace("<th></th>", "<td></td>")


def point_colab_at_ipynb(
    app: Sphinx, page: str, _template: str, context: dict[str, Any], _: Any
) -> None:
    """Send Colab to the built notebook, since it cannot open the Markdown source."""
    repository = app.config.html_theme_options["repository_url"].removeprefix("https://github.com/")
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []) if isinstance(group, dict) else []:
            if button.get("text") == "Colab":
                button["url"] = (
                    f"https://colab.research.google.com/github/{repository}"
                    f"/blob/{PUBLISHED_ON}/_sources/{page}.ipynb"
                )


def install_in_notebooks(app: Sphinx, exc: Exception | None) -> None:
    """Let every notebook that is downloaded begin by installing the package if it is missing.

    It names the commit that the book was built from, so that a notebook that was kept still runs.
    """
    if exc is not None or app.builder.format != "html":
        return
    repository = app.config.html_theme_options["repository_url"]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    source = INSTALL.format(repository=repository, version=f"@{commit}" if commit else "")
    for path in sorted((Path(app.outdir) / "_sources").rglob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if notebook.cells[0].source != source:
            notebook.cells.insert(0, nbformat.v4.new_code_cell(source, id="install"))
            nbformat.write(notebook, path)


def keep_updates_as_typed(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Show an indented block of a docstring, formulas in the letters of a paper, literally."""
    paragraph, gap = "", False
    for number, line in enumerate(list(lines)):
        if line.startswith("    ") and gap and paragraph and not paragraph.startswith(" "):
            lines[number - 1] = "\n::\n"
        gap = not line
        paragraph = line or paragraph
    lines[:] = "\n".join(lines).split("\n")


def leave_foreign_types_unlinked(
    _app: Sphinx, _env: BuildEnvironment, node: nodes.Element, text: nodes.TextElement
) -> nodes.TextElement | None:
    """Show a type of a signature that no inventory knows as plain text.

    Only annotations: a reference that a page writes out still has to resolve.
    """
    written_out = "refexplicit" in node.attributes
    return text if node.get("refdomain") == "py" and not written_out else None


def setup(app: Sphinx) -> dict[str, object]:
    """Connect the hooks."""
    app.add_directive("modules", Modules)
    app.connect("config-inited", configure)
    app.connect("autodoc-process-docstring", keep_updates_as_typed, priority=400)
    app.connect("missing-reference", leave_foreign_types_unlinked, priority=900)
    app.connect("html-page-context", mend_markup)
    app.connect("html-page-context", point_colab_at_ipynb, priority=800)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", install_in_notebooks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
