"""Mathematics for browsers that run no scripts: MathML beside every formula that MathJax sets."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from latex2mathml.converter import convert
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LOGGER = logging.getLogger(__name__)
FORMULA = re.compile(
    r'(<(span|div) class="(?:output text_latex )?math notranslate nohighlight"[^>]*>.*?)'
    r"(\\\(.*?\\\)|\\\[.*?\\\])\s*</\2>",
    re.DOTALL,
)
HIDDEN = (
    "<noscript><style>.math:has(+ noscript) { font-size: 0 !important; } "
    ".eqno { font-size: 1rem; } "
    'math[display="block"] { overflow-x: auto; max-width: 100%; }</style></noscript>\n'
)
"""Without scripts the source of a formula is not shown, but its number is."""
WRITTEN_OTHERWISE = (
    (r"\\norm\{((?:[^{}]|\{[^{}]*\})*)\}", r"\\left\\lVert \1 \\right\\rVert "),
    (r"\\[bB]igg?[lmr]?(?=\\)", ""),
    (r"\\operatorname\*", r"\\operatorname"),
    (r"(?<=\{)aligned(?=\})", "align*"),
    (r"&(?:nbsp|#160);", " "),
)
"""What the converter does not know, and what it knows in its place."""


@cache
def mathml(latex: str, display: str, macros: tuple[tuple[str, str], ...]) -> str:
    """Return a formula as MathML; raise a ValueError if part of it was not understood."""
    for name, meaning in macros:
        latex = re.sub(rf"\\{name}(?![a-zA-Z])", lambda _, m=meaning: m, latex)
    for old, new in WRITTEN_OTHERWISE:
        latex = re.sub(old, new, latex)
    made: str = convert(latex, display=display)
    shown = "".join(ElementTree.fromstring(made).itertext())
    if "\\" in shown or "&" in shown:
        raise ValueError(f"{latex!r} was read as {shown!r}")
    return made


def add_mathml(app: Sphinx, page: str, _template: str, context: dict[str, Any], _: Any) -> None:
    """Put MathML behind every formula, and hide the formula, where no script runs."""
    told = app.config.mathjax3_config["tex"]["macros"]
    macros = tuple((name, text) for name, text in told.items() if isinstance(text, str))

    def both(found: re.Match[str]) -> str:
        display = "inline" if found[2] == "span" else "block"
        latex = html.unescape(found[3])[2:-2]
        try:
            return f"{found[0]}<noscript>{mathml(latex, display, macros)}</noscript>"
        except Exception as error:  # whatever a converter raises
            LOGGER.warning("no MathML for %r: %s", latex, error, location=page)
            return found[0]

    if "body" in context:
        context["body"], formulas = FORMULA.subn(both, context["body"])
        if formulas:
            context["metatags"] = context.get("metatags", "") + HIDDEN


def setup(app: Sphinx) -> dict[str, object]:
    """Connect the hook, behind the one that mends the page."""
    app.connect("html-page-context", add_mathml, priority=950)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
