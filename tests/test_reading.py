"""``nox -s reading``: no page asks more of its readers than it may."""

import importlib
from pathlib import Path

import pytest

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
