"""The problems of the papers."""

from dsbo_book.problems.cleaning import Cleaning
from dsbo_book.problems.logistic import Logistic
from dsbo_book.problems.meta import Meta

__all__ = ["Cleaning", "Logistic", "Meta"]
