"""`autofix fix --interactive`: each fix is shown with its evidence, and a person says what becomes of it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from autofix import diff
from autofix.choose import Answer, Choice, alone, choose, lines_of, with_lines
from autofix.deliver import terminal
from autofix.engine import Verify
from autofix.model import Source, Verdict
from autofix.report import Item, Report, Status

_HELP = """\
y - apply this fix
n - do not apply it
a - apply it and all that follow
q - quit: apply neither it nor any that follow
e - edit the lines that it writes, and execute them
? - print this help"""
_STYLE = {"+": "green", "-": "red", " ": ""}


def ask_about(report: Report, verify: Verify | None) -> Report:
    """The report with what was accepted; `verify` executes what a person edited."""
    total = sum(i.status is Status.PATCHED and i.pass_number == 1 for i in report.items)
    done = 0

    def ask(source: Source, item: Item) -> Choice:
        nonlocal done
        done += 1
        return _asked(source, item, f"({done}/{total}) Apply this fix [y,n,a,q,e,?]? ", verify)

    return choose(report, ask)


def _asked(source: Source, item: Item, question: str, verify: Verify | None) -> Choice:
    _show(source, item)
    while True:
        answer = _read(question)
        wanted = answer in (Answer.YES.value, Answer.ALL.value)
        if wanted and item.evidence and item.evidence.verdict is Verdict.REFUTED:
            terminal.console(stderr=True).print("autofix: running it refuted it: edit it again, or leave it")
        elif answer in {a.value for a in Answer}:
            return Choice(Answer(answer), item)
        elif answer == "e":
            item = _edited(source, item, verify)
            _show(source, item)
        else:
            terminal.console(stderr=True).print(_HELP)


def _read(question: str) -> str:
    """One letter; the end of the input quits. Questions go to standard error: what is printed may be a patch."""
    print(question, end="", flush=True, file=sys.stderr)
    line = sys.stdin.readline()
    if not line:
        print(file=sys.stderr)
        return Answer.QUIT.value
    return line.strip()[:1].lower() or "?"


def _show(source: Source, item: Item) -> None:
    out = terminal.console(stderr=True)
    out.print()
    terminal.show_item(out, item)
    for hunk in diff.diff(alone(source, item), source.path, git_header=False):
        out.print(Text(str(hunk).partition("\n")[0], "cyan"))
        for line in hunk:
            out.print(Text(f"{line.line_type}{line.value}".rstrip("\r\n"), _STYLE.get(line.line_type, "dim")))


def _edited(source: Source, item: Item, verify: Verify | None) -> Item:
    """The item with the lines that a person wrote; the old one where they are no better than nothing."""
    err = terminal.console(stderr=True)
    text = _in_editor(lines_of(source, item), err.print)
    if text is None:
        return item
    made = with_lines(source, item, text)
    try:
        compile(alone(source, made).after, source.path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        err.print(f"autofix: the file would not compile with these lines: {error}")
        return item
    if verify is None or made.finding.fix is None:
        return made
    (evidence,) = verify([(source, made.finding.fix)])
    return Item(made.finding, made.status, evidence, made.pass_number)


def _in_editor(text: str, tell: Callable[[str], None]) -> str | None:
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.py"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        try:
            done = subprocess.run([*shlex.split(command), str(path)], check=False)
        except OSError as error:
            tell(f"autofix: the editor {command} cannot be run: {error.strerror}; set EDITOR")
            return None
        if done.returncode:
            tell(f"autofix: the editor {command} failed: the fix stays as it was")
            return None
        return path.read_bytes().decode("utf-8", "surrogateescape")
