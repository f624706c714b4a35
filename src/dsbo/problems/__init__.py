"""Bilevel problems: made to verify, from the papers, or from a user's own losses."""

from dsbo.problems.cleaning import Cleaning
from dsbo.problems.logistic import Logistic
from dsbo.problems.meta import Meta
from dsbo.problems.problem import Problem
from dsbo.problems.quadratic import Quadratic, Solution

__all__ = ["Cleaning", "Logistic", "Meta", "Problem", "Quadratic", "Solution"]
