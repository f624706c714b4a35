"""The problems of the papers."""

from dsbo_book.problems.cleaning import hyper_cleaning
from dsbo_book.problems.decisions import actor_critic
from dsbo_book.problems.domains import domain_weighting
from dsbo_book.problems.logistic import logistic_regression
from dsbo_book.problems.meta import meta_learning

__all__ = [
    "actor_critic",
    "domain_weighting",
    "hyper_cleaning",
    "logistic_regression",
    "meta_learning",
]
