"""Finds the bugs that make PyTorch training diverge, rewrites the source, and proves every patch by running it."""

__version__ = "0.1.0"
