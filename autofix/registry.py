"""Finding all rules: every module below `autofix.transforms` that defines `RULE`."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil

import autofix.transforms
from autofix.rule import Rule


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, sorted by name. Adding a file adds a rule; nothing else has to be told."""
    rules: dict[str, Rule] = {}
    for info in pkgutil.walk_packages(autofix.transforms.__path__, "autofix.transforms."):
        leaf = info.name.rpartition(".")[2]
        if info.ispkg or leaf.startswith("_"):
            continue
        module = importlib.import_module(info.name)
        rule: Rule = module.RULE
        if rule.name != leaf.replace("_", "-"):
            raise ValueError(f"{info.name} must define the rule {leaf.replace('_', '-')!r}, not {rule.name!r}")
        if rule.name in rules:
            raise ValueError(f"two rules are called {rule.name!r}")
        rules[rule.name] = dataclasses.replace(rule, doc=module.__doc__ or "")
    return tuple(rules[name] for name in sorted(rules))


def default_rules() -> tuple[Rule, ...]:
    """The rules of a run that selects none."""
    return tuple(rule for rule in all_rules() if rule.by_default)


def rule_named(name: str) -> Rule | None:
    return next((r for r in all_rules() if r.name == name), None)
