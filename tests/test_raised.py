"""The list of errors on the page `failures` leaves none out."""

import re
from pathlib import Path

import dsbo
from dsbo_book.raised import OWN, raised

SOURCES = sorted(Path(dsbo.__file__).parent.rglob("*.py"))


def test_no_exception_that_the_package_makes_is_left_out():
    names = "|".join([r"[A-Z]\w+Error", *OWN])
    made = [
        name
        for path in SOURCES
        for line in path.read_text("utf-8").splitlines()
        for name in re.findall(rf"(?:raise|return|or|,|=) ({names})\(", line)
    ]
    assert len(raised()) == len(made)
    assert sorted(found.kind for found in raised()) == sorted(made)


def test_every_class_of_errors_of_the_package_is_known():
    own = [
        name
        for path in SOURCES
        for name in re.findall(r"^class (\w+)\(\w*(?:Error|Exception)\):", path.read_text(), re.M)
    ]
    assert sorted(own) == sorted(OWN)


def test_texts_read_as_they_will_be_seen():
    texts = {found.text for found in raised()}
    assert "the lower loss must return one tensor, a scalar, not several" not in texts
    assert "the … loss must return one tensor, a scalar, not several" in texts
    assert sum(text in ("", "…") for text in texts) <= 2
