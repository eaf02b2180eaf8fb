"""Write what the rules do now into the golden folders, for review: `python tests/refresh_golden.py [RULE ...]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import golden_cases as golden

from autofix import engine
from autofix.model import Problem


def main(rule_names: list[str]) -> None:
    verify = verifier()
    for name in rule_names or [None]:
        for case in golden.cases(name):
            report = golden.run(case, verify)
            after, rendered = golden.outcome(case, report)
            text = json.dumps(golden.observed(report), indent=2, ensure_ascii=False) + "\n"
            (case.folder / "findings.json").write_text(text, encoding="utf-8")
            for file, data in (("after.py", after), ("expected.patch", rendered)):
                if rendered:
                    (case.folder / file).write_bytes(data)
                else:
                    (case.folder / file).unlink(missing_ok=True)
            verdicts = [r.get("verdict", r["status"]) for r in golden.observed(report)]
            print(f"{case.name}: {', '.join(verdicts) or 'silent'}")
            for item in report.items:
                if item.evidence and item.evidence.reason:
                    print(f"    {item.evidence.reason}")


def verifier() -> engine.Verify:
    from autofix.smoke.interpreter import find_python
    from autofix.smoke.verify import verify

    interpreter = find_python(sys.executable, Path.cwd())
    if isinstance(interpreter, Problem):
        sys.exit(interpreter.message)
    return lambda items: verify(items, interpreter, seconds=60.0)


if __name__ == "__main__":
    main(sys.argv[1:])
