"""The experiments of the papers, one file a figure; their settings are data."""

from dsbo.experiments import cleaning

EXPERIMENTS = {"cleaning": cleaning}

__all__ = ["EXPERIMENTS", "cleaning"]
