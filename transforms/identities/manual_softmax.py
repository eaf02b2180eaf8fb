"""A softmax written by hand.

The defect
----------
`e = exp(x); e / e.sum(dim, keepdim=True)` forms the exponentials themselves. The softmax depends on differences
between logits only, but the exponentials depend on the logits, which may be any size.

Why it hurts
------------
In float32 and bfloat16 `exp` overflows above 88.7 (float16: 11.09), and inf / inf is NaN. If all logits of a row lie
below -104, every exponential is 0 and the row is 0 / 0, NaN as well. Subtracting one maximum of the *whole* tensor
cures the first and leaves the second. `torch.softmax` subtracts each row's own maximum, so both work at any size, in
one kernel and with a backward pass that needs the result alone.

Before
------

    weights = torch.exp(scores)
    weights = weights / weights.sum(dim=-1, keepdim=True)

After
-----

    weights = torch.softmax(scores, dim=-1)

Try it
------

    import torch

    scores = torch.tensor([[100.0, 0.0], [-200.0, -300.0]])
    weights = torch.exp(scores)
    before = weights / weights.sum(dim=-1, keepdim=True)
    after = torch.softmax(scores, dim=-1)
    assert before[0, 0].isnan() and before[1].isnan().all()
    torch.testing.assert_close(after, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))

When the fix is safe
--------------------
It is the same function: values and gradients agree wherever today's are finite. A maximum that is subtracted by hand
is dropped, since softmax does not change when a row is shifted; where it is each row's own maximum, nothing diverges
today and the finding is information. An eps in the denominator is removed and stated. Exponentials that are read
elsewhere as well stay.

Left alone
----------
A sum that does not keep its dimension and so divides by something else; exponentials that are masked or weighted before
they are summed; other numerators than the summed exponential; Gaussian windows on a fixed grid, whose centre is always
1; each row's own maximum subtracted by hand where the same scores meet `softmax` too, which is a choice; NumPy and
`math`; complex tensors. A sum over everything is reported without a rewrite, because softmax needs the dimension. Where
the scores are masked, an eps is reported and not removed: it decides what a row without any position becomes.

Sources
-------
PyTorch documentation: `torch.softmax`. Blanchard, Higham, Higham: Accurately computing the log-sum-exp and softmax
functions (2021).
"""

from __future__ import annotations

import ast
import re

from autofix.declare import Form, Identity, Operand
from autofix.model import Severity
from autofix.ops import tensor_op
from autofix.pattern import Match
from autofix.relations import same
from autofix.syntax import Module
from autofix.transforms.identities._operands import (
    in_full,
    is_bounded,
    is_fixed_grid,
    is_non_positive,
    is_shifted,
    is_shifted_by_all,
    is_shifted_by_row,
    masked_reason,
)
from autofix.transforms.identities._training import ends_in_a_comparison
from autofix.tree import walk

_FUNCTION = "torch.softmax|torch.nn.functional.softmax({x}, dim={dim})"
_METHOD = "{x}.softmax(dim={dim})"
_ZERO_ROW = "the weights are NaN when all scores of a row lie below -104 (-17 in float16), where every exponential is 0"
_BOUNDED = "the softmax is written by hand; torch.softmax does it in one kernel, whatever the range of the scores"
_BY_ALL = (
    "one maximum of the whole tensor leaves every row that lies 104 below it (17 in float16) with 0 / 0, which is NaN"
)
_BY_ROW = "the maximum is subtracted by hand; torch.softmax does that itself, in one kernel"
_EPS_CHANGE = "rows sum to exactly 1; before, to sum / (sum + {eps})"
_X, _DIM, _EPS = Operand(), Operand(code="-1"), Operand(code="1e-8")
_SHIFTED = (
    "exp($x - $m) / sum(exp($x - $m), $dim, keepdim=True)",
    "exp($x - $m) / sum(exp($x - $m), $dim:zero)",
    "exp($x - $m) / unsqueeze(sum(exp($x - $m), $dim), $dim)",
    "exp($x - $m) / sum(exp($x - $m), $dim:last)[..., None]",
    "exp($x - $m) / sum(exp($x - $m), $dim:one)[:, None]",
)
_PLAIN = (
    "exp($x) / sum(exp($x), $dim, keepdim=True)",
    "exp($x) / sum(exp($x), $dim:zero)",
    "exp($x) / unsqueeze(sum(exp($x), $dim), $dim)",
    "exp($x) / sum(exp($x), $dim:last)[..., None]",
    "exp($x) / sum(exp($x), $dim:one)[:, None]",
)

_WITH_EPS = (
    "exp($x) / (sum(exp($x), $dim, keepdim=True) + $eps:small)",
    "exp($x) / clamp(sum(exp($x), $dim, keepdim=True), $eps:small)",
    "exp($x) / (sum(exp($x), $dim:zero) + $eps:small)",
)


def _is_chosen_by_hand(module: Module, match: Match) -> bool:
    """Whether the maximum is subtracted by hand where the same scores meet `softmax` as well: the author knows it, and
    has a reason of speed or memory not to use it here."""
    if "m" not in match.captures or not is_shifted_by_row(module, match):
        return False
    x = match.captures["x"]
    for node in walk(module.flow(x).scope):
        op = tensor_op(module, node, "softmax") if isinstance(node, ast.Call) else None
        if op is not None and same(module, op.input, x):
            return True
    return False


def _consequence(module: Module, match: Match) -> str:
    if is_non_positive(module, match):
        return _ZERO_ROW
    return (
        "the weights are NaN once a score passes 88.7 (11.09 in float16), and when all scores of a row lie below -104"
    )


IDENTITY = Identity(
    name="manual-softmax",
    summary="exp(x) / exp(x).sum(dim, keepdim=True) becomes softmax(x, dim)",
    severity=Severity.ERROR,
    triggers=((b"exp(",), (b"sum(", b"normalize(")),
    anchor=re.compile(r"exp\((?<!math\.exp\()(?<!np\.exp\()"),
    beside=re.compile(r"sum\(|normalize\("),
    title="write {new}, which subtracts each row's own maximum",
    local="scores",
    forms=(
        Form(
            _SHIFTED,
            _FUNCTION,
            _BY_ROW,
            method=_METHOD,
            severity=Severity.INFO,
            tidy=True,
            when=(is_shifted_by_row,),
            operands={"x": _X, "m": Operand(code="x.amax(dim=-1, keepdim=True)"), "dim": _DIM},
        ),
        Form(
            _SHIFTED,
            _FUNCTION,
            _BY_ALL,
            method=_METHOD,
            severity=Severity.WARNING,
            when=(is_shifted_by_all,),
            operands={"x": _X, "m": Operand(code="x.max()"), "dim": _DIM},
        ),
        Form(
            _PLAIN,
            _FUNCTION,
            _BY_ROW,
            method=_METHOD,
            severity=Severity.INFO,
            tidy=True,
            when=(is_shifted,),
        ),
        Form(_PLAIN, _FUNCTION, _BOUNDED, method=_METHOD, severity=Severity.INFO, tidy=True, when=(is_bounded,)),
        Form(_PLAIN, _FUNCTION, _consequence, method=_METHOD, operands={"x": _X, "dim": _DIM}),
        Form(
            ("exp($x).T / sum(exp($x).T, $dim, keepdim=True)", "exp($x).T / sum(exp($x).T, $dim:zero)"),
            "torch.softmax|torch.nn.functional.softmax({x}.T, dim={dim})",
            _consequence,
            method="{x}.T.softmax(dim={dim})",
            operands={"x": _X, "dim": _DIM},
        ),
        Form(
            (
                "exp($x - $m) / (sum(exp($x - $m), $dim, keepdim=True) + $eps:small)",
                "exp($x - $m) / clamp(sum(exp($x - $m), $dim, keepdim=True), $eps:small)",
                "exp($x - $m) / (sum(exp($x - $m), $dim:zero) + $eps:small)",
            ),
            _FUNCTION,
            "the maximum is subtracted by hand, so the sum is at least 1 and {eps} protects nothing; torch.softmax "
            "does all of it, in one kernel",
            method=_METHOD,
            change=_EPS_CHANGE,
            severity=Severity.INFO,
            tidy=True,
            when=(is_shifted_by_row,),
            refuse=(masked_reason,),
            operands={"x": _X, "m": Operand(code="x.amax(dim=-1, keepdim=True)"), "dim": _DIM, "eps": _EPS},
        ),
        Form(
            _WITH_EPS,
            _FUNCTION,
            _BOUNDED,
            method=_METHOD,
            change=_EPS_CHANGE,
            severity=Severity.INFO,
            tidy=True,
            when=(is_bounded,),
            refuse=(masked_reason,),
        ),
        Form(
            _WITH_EPS,
            _FUNCTION,
            "the weights are NaN once a score passes 88.7 (11.09 in float16), and {eps} turns a row far below 0 into "
            "zeros without a gradient",
            method=_METHOD,
            change=_EPS_CHANGE,
            hazard=("value", "gradient", "zero-gradient"),
            refuse=(masked_reason,),
            operands={"x": _X, "dim": _DIM, "eps": _EPS},
        ),
        Form(
            ("normalize(exp($x), 1, $dim, eps=$eps?)",),
            _FUNCTION,
            _consequence,
            change="rows whose exponentials sum to less than normalize's eps (1e-12 unless given) sum to 1 as well",
            refuse=(masked_reason,),
            operands={"x": _X, "dim": _DIM},
        ),
        Form(
            ("exp($x) / sum(exp($x))",),
            "",
            _consequence,
            why="sum() adds over every dimension, and the one dimension that softmax needs does not show here",
            operands={"x": _X},
        ),
    ),
    silent=(is_fixed_grid, _is_chosen_by_hand, ends_in_a_comparison),
    in_full=in_full,
    near_misses=(
        "torch.exp(x) / torch.exp(x).sum(dim=-1)",
        "torch.exp(x) / torch.exp(x).sum(dim=1, keepdim=False)",
        "torch.exp(x) / torch.exp(y).sum(dim=-1, keepdim=True)",
        "torch.exp(x) / torch.exp(2 * x).sum(dim=-1, keepdim=True)",
        "torch.exp(x) * y / (torch.exp(x) * y).sum(dim=-1, keepdim=True)",
        "torch.exp(x) / (torch.exp(x).sum(dim=-1, keepdim=True) + 1)",
        "torch.exp(x) / torch.exp(x).mean(dim=-1, keepdim=True)",
        "torch.exp(x) / torch.exp(x).sum(dim=-1).unsqueeze(0)",
        "torch.exp(x) / torch.exp(x, out=y).sum(dim=-1, keepdim=True)",
        "x / x.sum(dim=-1, keepdim=True)",
        "np.exp(x) / np.exp(x).sum(-1, keepdims=True)",
        "torch.exp(1j * x) / torch.exp(1j * x).sum(dim=-1, keepdim=True)",
        "F.normalize(torch.exp(x), dim=-1)",
    ),
)
RULE = IDENTITY.rule
