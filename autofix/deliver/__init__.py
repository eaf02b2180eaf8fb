"""Rendering results: terminal, diff, JSON."""
