"""Naive loops typed from the papers: slow, obvious, never imported by the package."""
