"""``nox -s reading``: no page asks more of its readers than it may."""

import importlib
import re
from pathlib import Path

import pytest
from contents import BOOK, sources

ROOT = Path(__file__).parents[1]
PAGE = """# Title

Five words, $a + b$ and `code` are here.

| no | prose |
| -- | ----- |

```{code-cell} ipython3
:tags: [hide-input]

folded = 1
```

```{code-cell} ipython3
a = 1

b = 2
```

```{admonition} Also prose
Three more words.
```

```{figure} drawn.svg
---
name: fig-drawn
---
A caption.
```

```{code-cell} ipython3
---
tags: [hide-input]
mystnb:
  figure:
    name: fig-made
---
plot()
```

```sh
pip install something
```

<!-- not > seen
by anybody -->
"""


@pytest.fixture
def reading(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("reading")


def test_every_page_keeps_its_limits(reading):
    assert reading.beyond(reading.pages()) == []


MINUTES = {
    "five": 5, "seven": 7, "eight": 8, "ten": 10, "ten to fifteen": 12, "twelve": 12,
    "fifteen": 15, "twenty": 20, "twenty-five": 25,
}  # fmt: skip


def test_the_box_of_a_page_tells_about_how_long_it_takes_to_read(reading):
    texts = {path.stem: path.read_text("utf-8") for path in (ROOT / "book").glob("*.md")}
    boxes = {
        name: " ".join(found[1].split())
        for name, text in texts.items()
        if (found := re.search(r"\*\*It takes\*\* ([a-z\s-]+?)\s+minutes\s+to\s+read", text))
    }
    pages = reading.pages()
    assert len(boxes) > 25
    told = {name: (MINUTES[words], pages[name].minutes) for name, words in boxes.items()}
    assert {name: pair for name, pair in told.items() if not 0.6 <= pair[0] / pair[1] <= 1.6} == {}


def test_what_is_folded_and_what_is_no_prose_is_not_counted(reading):
    found = reading.read(PAGE)
    assert (found.cells, found.lines, found.figures) == (1, 2, 2)
    assert found.words == 9  # Title Five words and are here Three more words
    assert found.a_line == 4.5


def test_a_page_beyond_its_limits_is_named(reading):
    page = reading.Page(cells=26, lines=100, words=400, figures=1)
    assert reading.beyond({"a page": page}) == [
        "a page: 26 cells of code are seen, 25 may be; fold some",
        "a page: 4.0 words for a line of code, at least 4.5; fold some",
        "the book: 4.0 words for a line in the median, at least 7.0",
    ]
    assert len(reading.beyond({"errata": page})) == 1


def test_a_page_needs_pages_before_it_alone():
    order = [page.stem for page in sources()]
    needs = {
        page: re.findall(r"{doc}`([\w-]+)`", box[1].partition(";")[0])
        for page in order
        if (box := re.search(r"\*\*You need\*\*(.*?)\*\*It takes\*\*", told(page), re.DOTALL))
    }
    assert len(needs) > 20
    late = {p: [n for n in those if order.index(n) > order.index(p)] for p, those in needs.items()}
    assert {page: names for page, names in late.items() if names} == {}


def told(page):
    return (BOOK / f"{page}.md").read_text("utf-8")
