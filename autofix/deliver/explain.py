"""The rules as pages and tables, generated from the rules themselves."""

from __future__ import annotations

import json

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autofix.registry import all_rules
from autofix.rule import SECTIONS, Rule


def show_rules(out: Console) -> None:
    """A table on a terminal; `name: summary` lines when piped."""
    if not out.is_terminal:
        for rule in all_rules():
            out.print(f"{rule.name}: {rule.summary}{_when(rule)}")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("rule", "severity", "what it finds"):
        table.add_column(title, no_wrap=title == "rule")
    for rule in all_rules():
        table.add_row(Text(rule.name, "bold"), rule.severity.value, rule.summary + _when(rule))
    out.print(table)


def rules_json() -> str:
    records = [
        {"rule": r.name, "severity": r.severity.value, "summary": r.summary, "by_default": r.by_default}
        for r in all_rules()
    ]
    return json.dumps(records, indent=2, ensure_ascii=False) + "\n"


def show_page(out: Console, rule: Rule) -> None:
    """The rule's docstring, its titles in bold."""
    out.print(Text(f"{rule.name} ({rule.severity.value})", "bold"))
    if not rule.by_default:
        out.print(Text(f"runs only when it is named: --extend-select {rule.name}"))
    sections = rule.sections
    out.print(Text("\n" + sections["summary"]))
    for title in SECTIONS:
        if title in sections:
            out.print(Text(f"\n{title}", "bold"))
            out.print(Text(sections[title]))


def _when(rule: Rule) -> str:
    return "" if rule.by_default else " (only when selected)"


def page_markdown(rule: Rule) -> str:
    """The rule's page for the documentation."""
    return _template("rule.md.j2").render(rule=rule, titles=SECTIONS)


def table_markdown(folder: str) -> str:
    """All rules as a Markdown table that links to their pages in `folder`."""
    return _template("rules.md.j2").render(rules=all_rules(), folder=folder).rstrip("\n")


def _template(name: str) -> Template:
    loader = PackageLoader("autofix.templates", "")
    environment = Environment(
        loader=loader,
        autoescape=False,  # Markdown, from our own rules
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
