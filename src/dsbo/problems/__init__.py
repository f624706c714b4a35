"""Bilevel problems: made to verify, or from a user's own losses."""

from dsbo.moved import moved
from dsbo.problems.problem import Problem
from dsbo.problems.quadratic import Quadratic, Solution

__all__ = ["Problem", "Quadratic", "Solution"]

__getattr__ = moved(
    __name__,
    *("cleaning", "logistic", "meta", "softmax"),
    Cleaning="hyper_cleaning",
    Logistic="logistic_regression",
    Meta="meta_learning",
)
