"""A leaf, and what its name alone suggests."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

_BOOL_NAMES = re.compile(r"(^|_)(mask|masks|pad|padding|is|valid|keep|drop)(_|$)|mask$")
_INT_NAMES = re.compile(
    r"(^|_)(n|num|len|length|size|dim|dims|heads?|batch|bsz|bs|steps?|channels?|width|height|seq|k|count|world)(_|$)"
    r"|(size|len|length)$"
)
_LETTERS = re.compile(r"^(b|h|w|t|c|l|s)$")  # as often a tensor as a size: how it is used has said which
_EPS_NAMES = re.compile(r"(^|_)(eps|epsilon)(_|$)|eps$")
_ENTRY = re.compile(r"""\[['"](\w+)['"]\]$""")
_SCALAR_NAMES = re.compile(
    r"(^|_)(eps|epsilon|scale|scaling|temperature|temp|tau|alpha|beta|gamma|lambd?a?|lr|weight|coeff?|factor|rate|"
    r"threshold|thresh|tol|norm_factor|constant|const)(_|$)|eps$"
)
_FLAG_NAMES = re.compile(r"(^|_)(use|is|has|do|return|with|training|causal|enable|enabled|normalize|normalized)(_|$)")
_PROBABILITY_NAMES = re.compile(r"(^|_)(p|prob|probs|probability|probabilities|proba|pi)(_|$)|probs?$")
_POSITIVE_NAMES = re.compile(r"(^|_)(var|variance|std|sigma|stddev|scale_diag|rate|concentration|areas?)(_|$)")
_COUNT_NAMES = re.compile(r"^n(um)?_\w+$|(^|_)(num|counts?)(_|$)|^ntokens$")
_TARGET_NAMES = re.compile(r"(^|_)(targets?|labels?|gt|truth|y_true|ys?)(_|$)")
_DTYPE_NAMES = re.compile(r"(^|_)dtype$")
_DEVICE_NAMES = re.compile(r"(^|_)device$")


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(slots=True)
class Leaf:
    """An opaque part of a slice. text: its source, the same before and after. roles: candidates, likeliest first."""

    name: str
    text: str
    roles: list[str] = field(default_factory=list)
    domain: str = ""
    rank: int | None = None
    shape: list[int] | None = None
    value: str | float | int | bool | None = None
    assumption: str = ""
    alias: str = ""  # the attribute of another object that its class makes it from
    known_as: str = ""  # the name that a result of an opaque call is bound to
    noted: str = ""  # the role that the annotation of a parameter says

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "text": self.text,
            "roles": self.roles,
            "domain": self.domain,
            "rank": self.rank,
            "shape": self.shape,
            "value": self.value,
        }


def roles_by_name(leaf: Leaf) -> list[str]:
    """Candidates that only the name supports, likeliest first."""
    if leaf.noted:
        return [leaf.noted]
    last = _own_word(leaf)
    if _DTYPE_NAMES.search(last):
        return ["dtype"]
    if _DEVICE_NAMES.search(last):
        return ["device"]
    if _BOOL_NAMES.search(last):
        return ["bool", "binary"]
    if _FLAG_NAMES.search(last):
        return ["flag"]
    if _SCALAR_NAMES.search(last):
        return ["scalar", "float"]
    if _INT_NAMES.search(last):
        return ["int"]
    if _LETTERS.search(last):
        return ["float", "scalar", "int"]
    return ["float"]


def _own_word(leaf: Leaf) -> str:
    return leaf.known_as.lower() or last_word(leaf.text)


def last_word(text: str) -> str:
    """The part of a leaf's text that says what it is, in lower case: `loss_mask` in `batch["loss_mask"]`, `mask` in
    `self.mask[:, 0].unsqueeze(1)`."""
    entry = _ENTRY.search(text)
    if entry is not None:
        return entry.group(1).lower()
    try:
        node: ast.AST = ast.parse(text, mode="eval").body
    except SyntaxError:
        return text.rpartition(".")[2].lower()
    while not isinstance(node, (ast.Name, ast.Attribute)):
        if isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        else:
            return re.split(r"[.\[(]", text)[0].strip("'\" ").lower()
    return (node.id if isinstance(node, ast.Name) else node.attr).lower()


def is_eps(leaf: Leaf) -> bool:
    return bool(_EPS_NAMES.search(_own_word(leaf)))


def is_target(leaf: Leaf) -> bool:
    """Whether it is named as what a prediction is compared with."""
    return bool(_TARGET_NAMES.search(_own_word(leaf)))


def assume_domain(leaf: Leaf) -> None:
    """A domain that only the name supports is an assumption, which is stated."""
    last = _own_word(leaf)
    if _PROBABILITY_NAMES.search(last) and "log" not in last:
        leaf.domain = "probability"
    elif _COUNT_NAMES.search(last) and "log" not in last:
        leaf.domain = "count"
    elif _POSITIVE_NAMES.search(last) and "log" not in last:
        leaf.domain = "positive"
    else:
        return
    said = leaf.domain.replace("positive", "positive values").replace("count", "a count")
    leaf.assumption = f"{leaf.known_as or leaf.text} is taken as {said}, from its name"
