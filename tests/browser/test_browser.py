"""Every page of the built book, as a reader's browser sees it."""

from __future__ import annotations

import functools
import re
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from contents import BOOK, sources

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.browser

HTML = BOOK / "_build/html"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHOTS = BOOK / "_build/screenshots"
LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 390)}
# Rules about colours take long, so they are asked of one word of each look alone.
COLOURS = ("color-contrast", "link-in-text-block")
ALL_BUT_COLOURS = {"rules": {name: {"enabled": False} for name in COLOURS}}
MARK_THE_FIRST_WORD_OF_EACH_LOOK = """() => {
  const clear = style => /^rgba\\(.*, 0\\)$/.test(style.backgroundColor);
  const seen = new Set();
  for (const word of document.querySelectorAll("body *")) {
    if (![...word.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    const style = getComputedStyle(word);
    let behind = word;
    while (clear(getComputedStyle(behind)) && behind.parentElement) behind = behind.parentElement;
    const look = [
      style.color, style.fontSize, style.fontWeight, style.textDecorationLine, word.tagName,
      getComputedStyle(word.parentElement).color, getComputedStyle(behind).backgroundColor,
    ].join();
    if (!seen.has(look)) word.dataset.first = "";
    seen.add(look);
  }
}"""
CUT_OFF = """() => [...document.querySelectorAll("div.math")].filter(box => {
  const formula = box.querySelector("mjx-math"), number = box.querySelector(".eqno");
  if (!formula || !box.checkVisibility()) return false;
  const end = number ? number.getBoundingClientRect().left : box.getBoundingClientRect().right;
  const scrolls = /auto|scroll/.test(getComputedStyle(box).overflowX);
  return formula.getBoundingClientRect().right > end + 1 && !scrolls;
}).map(box => box.id || box.textContent)"""
# Both lie in the theme's own header and are the same on every page.
RULES_OF_THE_THEME = {"label-content-name-mismatch", "region"}


PAGES = [*(page.stem for page in sources()), "search", "genindex"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: a failed request shows in the test."""


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of the built book on this machine."""
    assert (HTML / "index.html").is_file(), "build the book first: nox -s book"
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=HTML))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The machine's own Chromium; Playwright's download is not needed."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path is not None, "no chromium on PATH"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """One page in one look, and everything that went wrong while it loaded."""

    def __init__(self, chromium: Any, site: str, path: str, look: str) -> None:
        scheme, width = LOOKS[look]
        self.context = chromium.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900}
        )
        # The theme keeps a reader's choice there and would else follow the system.
        self.context.add_init_script(
            f"localStorage.setItem('mode', '{scheme}'); localStorage.setItem('theme', '{scheme}')"
        )
        self.errors: list[str] = []
        self.page = page = self.context.new_page()
        self.context.route(lambda url: not url.startswith((site, "data:")), self.refuse)
        page.on("pageerror", lambda e: self.errors.append(f"script: {e}"))
        page.on(
            "console",
            lambda m: self.errors.append(f"console: {m.text}") if m.type == "error" else None,
        )
        page.on(
            "response",
            lambda r: self.errors.append(f"{r.status}: {r.url}") if r.status >= 400 else None,
        )
        page.goto(site + path, wait_until="load")
        page.evaluate("async () => { if (window.MathJax) await MathJax.startup.promise }")
        page.wait_for_load_state("networkidle")

    def refuse(self, route: Any) -> None:
        self.errors.append(f"another host: {route.request.url}")
        route.abort()

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole_and_accessible(chromium: Any, site: str, name: str, look: str) -> None:
    with Visit(chromium, site, f"{name}.html", look) as visit:
        page = visit.page
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"{name}-{look}.png", full_page=True)

        assert not visit.errors
        assert page.locator("html").get_attribute("data-theme") == LOOKS[look][0]
        raw = page.eval_on_selector_all(
            ".math",
            "all => all.filter(m => !m.querySelector('mjx-container')).map(m => m.textContent)",
        )
        assert not raw, "math that was not typeset"
        assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"the page is {wide} px wider than the window"

        assert page.evaluate(CUT_OFF) == []
        texts = page.locator("article .cell_output, article .pasted-text").all_text_contents()
        assert [text for text in texts if re.search(r"\bnp\.\w+\(", text)] == []

        for image in page.locator("article img").all():
            alt, source = image.get_attribute("alt") or "", image.get_attribute("src") or ""
            assert len(alt.split()) >= 3, f"{source} has the alt text {alt!r}"
            assert not re.search(r"\.(svg|png|jpe?g)$|^_images/", alt)

        found = {} if look == "dark" else violations(page, ALL_BUT_COLOURS)
        if look != "phone":
            found |= colours(page)
        assert not {k: v for k, v in found.items() if k not in RULES_OF_THE_THEME}


def violations(page: Any, options: dict[str, Any], context: Any = None) -> dict[str, list[str]]:
    """What axe finds, by rule."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"], **options}
    found = Axe().run(page, context=context, options=options).response["violations"]
    return {v["id"]: [n["html"][:200] for n in v["nodes"]] for v in found}


def colours(page: Any) -> dict[str, list[str]]:
    """What the rules about colours find."""
    page.evaluate(MARK_THE_FIRST_WORD_OF_EACH_LOOK)
    return violations(page, {"runOnly": COLOURS}, {"include": [["[data-first]"]]})


@pytest.mark.parametrize("place", ["article p", "article pre .nn", "article td", "article h2"])
def test_a_pale_word_is_found_wherever_it_is(chromium: Any, site: str, place: str) -> None:
    with Visit(chromium, site, "intro.html", "light") as visit:
        # axe leaves single characters to the eye, and what is folded
        seen = "e => e.checkVisibility() && e.textContent.trim().length > 1"
        last = f"all => all.filter({seen}).at(-1)"
        visit.page.eval_on_selector_all(place, f"{last}.style.color = '#ccc'")
        assert list(colours(visit.page)) == ["color-contrast"]


def test_search_finds_the_hypergradient(chromium: Any, site: str) -> None:
    with Visit(chromium, site, "search.html?q=hypergradient", "light") as visit:
        visit.page.wait_for_selector("#search-results li a", timeout=15_000)
        assert not visit.errors


def test_a_notebook_can_be_downloaded_and_opened_in_colab(chromium: Any, site: str) -> None:
    with Visit(chromium, site, "status.html", "light") as visit:
        links = visit.page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        assert any(link.endswith("/_sources/status.ipynb") for link in links)
        colab = [link for link in links if "colab.research.google.com" in link]
        assert colab == [
            "https://colab.research.google.com/github/dsbo-book/dsbo/blob/gh-pages/_sources/status.ipynb"
        ]
        answer = visit.page.request.get(f"{site}_sources/status.ipynb")
        assert "%pip install" in "".join(answer.json()["cells"][0]["source"])


@pytest.mark.parametrize("name", ["theorems", "dsoba", "claims"])
def test_without_scripts_every_formula_is_seen_once(chromium: Any, site: str, name: str) -> None:
    context = chromium.new_context(
        java_script_enabled=False, viewport={"width": 390, "height": 900}
    )
    page = context.new_page()
    page.goto(f"{site}{name}.html")
    formulas = page.locator("article .math.notranslate").all()
    assert len(formulas) > 20
    assert page.locator("math").count() == len(formulas)
    seen = [m for m in page.locator("math").all() if m.is_visible()]  # others are folded
    assert len(seen) > 10
    assert all(m.bounding_box()["height"] > 5 for m in seen)
    for formula in formulas:
        assert (formula.bounding_box() or {"height": 0})["height"] < 30, "its source is seen, too"
    assert page.locator("body").bounding_box()["width"] <= 390
    context.close()


def test_a_moving_picture_moves_is_held_and_stands_still_for_who_wants_that(
    chromium: Any, site: str
) -> None:
    def moving(page: Any) -> list[str]:
        return page.eval_on_selector_all(
            ".moving circle", "all => all.flatMap(c => c.getAnimations()).map(a => a.playState)"
        )

    for motion in ("no-preference", "reduce"):
        context = chromium.new_context(reduced_motion=motion)
        page = context.new_page()
        page.goto(f"{site}gradient-tracking.html")
        page.eval_on_selector_all("details", "all => all.forEach(d => d.open = true)")
        if motion == "reduce":
            assert moving(page) == []
        else:
            assert set(moving(page)) == {"running"}
            page.locator(".moving input").first.check()
            assert set(moving(page)) == {"paused"}
        context.close()
