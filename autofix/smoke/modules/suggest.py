"""From the operation that broke to what a person can do about it: a rule that repairs that line, a rule's page, or
words."""

from __future__ import annotations

import ast
import functools
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autofix.detect import scan
from autofix.model import Applicability, Finding, Source
from autofix.registry import default_rules, rule_named
from autofix.rule import Options

_MASKS = ("mask-neg-inf", "mask-constant-overflow")
_EXPONENTS = ("exp-unbounded", "manual-softmax", "manual-logsumexp", "manual-softplus", "manual-sigmoid", "clamp-after")
_LOGARITHMS = (
    "log-unprotected", "log-softmax", "log-sigmoid", "manual-logsumexp", "entropy", "bce-with-logits", "log-det",
    "clamp-after", "where-nan-grad",
)  # fmt: skip
_ROOTS = (
    "sqrt-unprotected", "manual-norm", "eps-outside-sqrt", "variance-cancellation", "clamp-after", "where-nan-grad",
    "half-epsilon",
)  # fmt: skip
_QUOTIENTS = (
    "div-unprotected", "masked-mean", "manual-normalize", "manual-softmax", "half-epsilon", "eps-outside-sqrt",
    "where-nan-grad",
)  # fmt: skip
_ANGLES = ("acos-domain", "where-nan-grad")
_NORMS = ("manual-normalize", "manual-norm", "div-unprotected", "sqrt-unprotected")
_SPREADS = ("std-of-one",)
# By operation, the rules that repair such code, the one that is most often right first.
_RULES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("softmax", "log_softmax", "scaled_dot_product_attention"), _MASKS),
    **dict.fromkeys(("multi_head_attention_forward", "logsumexp"), _MASKS),
    **dict.fromkeys(("exp", "exp2", "expm1", "sinh", "cosh"), _EXPONENTS),
    **dict.fromkeys(("log", "log2", "log10", "log1p", "xlogy"), _LOGARITHMS),
    **dict.fromkeys(("sqrt", "rsqrt", "pow"), _ROOTS),
    **dict.fromkeys(("div", "true_divide", "divide", "reciprocal"), _QUOTIENTS),
    **dict.fromkeys(("acos", "asin", "atanh", "arccos", "arcsin", "arctanh", "acosh"), _ANGLES),
    **dict.fromkeys(("norm", "vector_norm", "linalg_vector_norm", "linalg_norm", "cdist", "dist"), _NORMS),
    **dict.fromkeys(("std", "var", "std_mean", "var_mean"), _SPREADS),
    **dict.fromkeys(("det", "logdet", "slogdet"), ("log-det",)),
    **dict.fromkeys(("inverse", "linalg_inv", "inv"), ("solve-not-inverse",)),
    "empty": ("param-uninitialised",),
    "binary_cross_entropy": ("bce-with-logits",),
    "cross_entropy": ("masked-mean",),
    "nll_loss": ("masked-mean", "nll-of-log-softmax"),
    "mul": ("where-nan-grad", "masked-mean"),
}
_ROUTING = (
    "hard-top-p-mask", "hard-top-k-mask", "router-detached", "softmax-after-top-k", "router-returns-logits",
)  # fmt: skip
_KNOWN = frozenset(name for names in _RULES.values() for name in names)
_WORDS = (
    (_MASKS, "mask with torch.finfo(scores.dtype).min: a row of -inf has no softmax"),
    (_EXPONENTS, "bound the exponent before exp, as with clamp(max=...): the clamp after it is too late"),
    (_LOGARITHMS, "keep the argument above 0 before the logarithm, as with clamp_min(torch.finfo(x.dtype).tiny)"),
    (_ROOTS, "keep the argument above 0 inside the root, as with x + eps: its gradient at 0 is infinite"),
    (_QUOTIENTS, "keep the divisor away from 0, as with clamp_min(1) for a count or clamp_min(eps) for a norm"),
    (_ANGLES, "clamp the argument to the inside of the function's domain, by finfo(x.dtype).eps"),
    (_NORMS, "torch.linalg.vector_norm has a gradient at 0 where sqrt of a sum of squares has none"),
    (_SPREADS, "one element has no spread: leave the normalisation out for it, or use correction=0"),
    (("param-uninitialised",), "write to it in __init__ or reset_parameters, as with nn.init.kaiming_uniform_"),
)
_HALF = (
    "float16 holds at most 65504: keep this operation in float32 (an inner autocast(enabled=False)), or use bfloat16"
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the first non-finite value came from. when: "forward", "backward" (the gradient of the operation) or
    "initialisation". path: relative where it lies below the working directory, "" where no line is known. code: that
    line. detail: what the operation was given. dtype: of its result."""

    operation: str
    when: str
    path: str = ""
    line: int = 0
    function: str = ""
    code: str = ""
    detail: str = ""
    dtype: str = ""

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}" if self.line else ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """rule: one of the registry, or "". command: what to type, or "". words: what that does, or what to do by hand."""

    rule: str = ""
    command: str = ""
    words: str = ""


NO_SUGGESTION = Suggestion()


def origin_of(record: Mapping[str, Any]) -> Origin | None:
    """The harness's answer as a value; None where it could not tell."""
    if not record:
        return None
    path, line = str(record.get("path") or ""), int(record.get("line") or 0)
    return Origin(
        operation=str(record["operation"]), when=str(record["pass"]), path=shown_path(Path(path)) if path else "",
        line=line, function=str(record.get("function") or ""), code=_line_of(path, line),
        detail=str(record.get("detail") or ""), dtype=str(record.get("dtype") or ""),
    )  # fmt: skip


def shown_path(path: Path) -> str:
    """Relative to the working directory where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _line_of(path: str, line: int) -> str:
    if not path or not line:
        return ""
    try:
        lines = Path(path).read_bytes().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return lines[line - 1].strip() if line <= len(lines) else ""


def suggest(origin: Origin | None) -> Suggestion:
    """What repairs the place: a finding of a rule there, else the page of the rule for such an operation, else
    words."""
    if origin is None:
        return NO_SUGGESTION
    rules = _RULES.get(origin.operation, ())
    finding = _finding_at(origin, rules) if origin.line else None
    if finding is not None:
        return _of_finding(finding, origin.path)
    if (
        origin.dtype == "float16"
        and rules not in (_MASKS, _LOGARITHMS, _ANGLES, _SPREADS)
        and " is 0" not in origin.detail
    ):
        return Suggestion(words=_HALF)
    known = rules[0] if rules and rule_named(rules[0]) else ""
    words = next((text for family, text in _WORDS if family is rules or family == rules), "")
    if known:
        return Suggestion(known, f"autofix explain {known}", words or "the rule for such code")
    return Suggestion(words=words)


def suggest_gradient(path: str, line: int) -> Suggestion:
    """For a class (at `line`) some of whose parameters receive no gradient: a routing rule's finding inside it."""
    first, last = next(((a, b) for a, b in _definitions(_read(path)) if a == line), (line, line))
    inside = (f for f in findings_in(path) if f.rule in _ROUTING and first <= f.start.line <= last)
    finding = next(inside, None)
    return _of_finding(finding, path) if finding is not None else NO_SUGGESTION


def _of_finding(finding: Finding, path: str) -> Suggestion:
    if finding.fix is None or finding.fix.applicability is Applicability.ADVICE:
        return Suggestion(finding.rule, f"autofix explain {finding.rule}", finding.message)
    unsafe = " --unsafe-fixes" if finding.fix.applicability is Applicability.UNSAFE else ""
    command = f"autofix --dry-run --select {finding.rule}{unsafe} {shlex.quote(path)}"
    return Suggestion(finding.rule, command, f"patches line {finding.start.line}: {finding.fix.title}")


def _finding_at(origin: Origin, rules: tuple[str, ...]) -> Finding | None:
    """A finding whose statement holds the line; else the nearest one of a fitting rule in the same function, since a
    mask is written above the softmax that it breaks."""
    found = [f for f in findings_in(origin.path) if f.rule in _KNOWN]
    here = [f for f in found if f.start.line <= origin.line <= f.end.line]
    fitting = [f for f in here if f.rule in rules]
    if fitting or here:
        return min(fitting or here, key=lambda f: rules.index(f.rule) if f.rule in rules else len(rules))
    first, last = function_around(origin.path, origin.line)
    near = [f for f in found if f.rule in rules and first <= f.start.line <= last]
    return min(near, key=lambda f: abs(f.start.line - origin.line), default=None)


def findings_in(path: str) -> tuple[Finding, ...]:
    """What the rules say of a file."""
    return _findings(path, _read(path))


@functools.lru_cache(maxsize=256)
def _findings(path: str, data: bytes) -> tuple[Finding, ...]:
    """A rule that fails costs the suggestion, not the run: `autofix check` names it."""
    rules = default_rules()
    try:
        return scan(Source(path, data), rules, Options()).findings
    except Exception:
        return ()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


@functools.lru_cache(maxsize=256)
def _definitions(data: bytes) -> tuple[tuple[int, int], ...]:
    try:
        return tuple(_spans(ast.parse(data)))
    except (SyntaxError, ValueError):
        return ()


def _spans(tree: ast.AST) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.lineno, node.end_lineno or node.lineno


def function_around(path: str, line: int) -> tuple[int, int]:
    """First and last line of the innermost function or class that holds `line`; (line, line) outside of any."""
    around = [span for span in _definitions(_read(path)) if span[0] <= line <= span[1]]
    return max(around, default=(line, line))
