"""Jinja2 templates: pull request bodies, reports, generated tests."""
