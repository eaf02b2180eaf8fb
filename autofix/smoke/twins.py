"""Attributes of one object that say the same thing: a distribution's `probs` and `logits`.

A fix may read the one where the original reads the other. Bound apart they would contradict each other, so the one
is computed from the other, as `torch.distributions` does; and the dtype of a tensor is that tensor's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import MutableMapping

from autofix.smoke.naming import Leaf

_SINGLE = re.compile(r"bern|binomial", re.I)  # distributions whose logits are log-odds


def bind_attributes(leaves: MutableMapping[str, Leaf]) -> list[ast.stmt]:
    """Statements that read the dtype and device of tensors that are leaves too; those leaves are taken out."""
    statements: list[ast.stmt] = []
    for text, leaf in list(leaves.items()):
        base, _, attribute = text.rpartition(".")
        of = leaves.get(base)
        if of is None or attribute not in ("dtype", "device") or leaf.roles != [attribute]:
            continue
        if not of.roles or of.roles[0] in ("float", "bool", "buffer"):
            statements += ast.parse(f"{leaf.name} = {of.name}.{attribute}").body
            del leaves[text]
    return statements


def bind(leaves: MutableMapping[str, Leaf], added: MutableMapping[str, Leaf]) -> tuple[list[ast.stmt], list[str]]:
    """Statements that compute an attribute which only the patch reads, or the one it stands for; and what is assumed.

    A leaf that is computed is taken out of `leaves` and `added`.
    """
    statements: list[ast.stmt] = []
    assumptions: list[str] = []
    for text in list(added):
        base, _, attribute = text.rpartition(".")
        if not base or attribute not in ("probs", "logits"):
            continue
        logits, probs = _of(leaves, f"{base}.logits"), _of(leaves, f"{base}.probs")
        if logits is None or probs is None:
            continue
        lines, words = _computed(base, logits, probs)
        statements += ast.parse(lines).body
        assumptions.append(words)
        logits.domain, logits.assumption = "", ""
        del leaves[probs.text]
        added.pop(probs.text, None)
        added.pop(logits.text, None)
    return statements, assumptions


def _of(leaves: MutableMapping[str, Leaf], text: str) -> Leaf | None:
    """The leaf of this text, or one that its class makes from it (`self.probs = self.categorical.probs`)."""
    return leaves.get(text) or next((leaf for leaf in leaves.values() if leaf.alias == text), None)


def _computed(base: str, logits: Leaf, probs: Leaf) -> tuple[str, str]:
    if _SINGLE.search(base):
        return (
            f"{probs.name} = torch.sigmoid({logits.name})",
            f"{probs.text} is taken as the sigmoid of {logits.text}, as in torch.distributions",
        )
    return (
        f"{logits.name} = torch.log_softmax({logits.name}, dim=-1)\n{probs.name} = {logits.name}.exp()",
        f"{probs.text} and {logits.text} are taken as one distribution's, as in torch.distributions",
    )
