"""What is generated from the rules is up to date, and every rule's page is complete."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from autofix.registry import all_rules
from autofix.rule import SECTIONS, Rule

ROOT = Path(__file__).resolve().parent.parent


def test_generated_pages_are_current() -> None:
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode()


@pytest.mark.parametrize("rule", all_rules(), ids=lambda r: r.name)
def test_a_rule_s_page_has_its_sections_in_order(rule: Rule) -> None:
    sections = [title for title in rule.sections if title != "summary"]
    assert sections[:7] == list(SECTIONS[:7])
    assert rule.sections["summary"].strip()
    for title in ("Before", "After", "Try it"):
        ast.parse(textwrap.dedent(rule.sections[title]))


def test_no_transforms_of_our_own_is_importable_by_another_name() -> None:
    done = subprocess.run([sys.executable, "-c", "import transforms"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode != 0
    assert b"autofix.transforms" in done.stderr
