"""Bilevel problems: made to verify, from the papers, or from a user's own losses."""

from dsbo.problems.cleaning import Cleaning
from dsbo.problems.problem import Problem
from dsbo.problems.quadratic import Quadratic, Solution

__all__ = ["Cleaning", "Problem", "Quadratic", "Solution"]
