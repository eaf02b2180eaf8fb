"""A linear system solved by forming the inverse.

The defect
----------
`inverse(A) @ b` computes all of the inverse in order to multiply it with one right-hand side.

Why it hurts
------------
The inverse is as many systems as the matrix has columns, and their rounding errors add up in the product: for an
ill-conditioned matrix the residual is larger by about the condition number. `linalg.solve` factors once and solves
for b; it is backward stable, faster, and its gradient needs no inverse either. Nothing becomes infinite that was not
before, so this is information.

Before
------

    mean = torch.inverse(precision) @ shift

After
-----

    mean = torch.linalg.solve(precision, shift)

Try it
------

    import torch

    index = torch.arange(1.0, 9.0)
    precision = 1 / (index[:, None] + index - 1)  # a Hilbert matrix
    shift = torch.ones(8)
    before = torch.inverse(precision) @ shift
    after = torch.linalg.solve(precision, shift)

    def residual(x):
        return (precision.double() @ x.double() - shift).norm() / x.norm()

    assert residual(before) > 10 * residual(after)

When the fix is safe
--------------------
It is the same function for an invertible matrix, up to the rounding of today's; for a singular one both raise. An
inverse that is read elsewhere as well stays, and then there is no finding.

Left alone
----------
Inverses that are used more than once, stored or returned; products with the inverse on the right; objects of a
project's own with an `inverse()` method; pseudo-inverses; matrices of a camera, and the shift and scale of normalised
points, which are small and well conditioned; NumPy, `out=` and complex matrices.

Sources
-------
PyTorch documentation: `torch.linalg.inv`. Higham: Accuracy and stability of numerical algorithms (2002), chapter 14.
"""

from __future__ import annotations

import ast
import re

from autofix.declare import Form, Identity
from autofix.flow import Definition
from autofix.model import Severity
from autofix.ops import tensor_op
from autofix.origins import origins
from autofix.pattern import Match
from autofix.syntax import Module
from autofix.tree import last_part, walk

# Matrices of a camera, and the shift and scale that normalise points: small, and well conditioned by construction.
_CAMERA = re.compile(
    r"^K(_?[a-z])?\d*$|intrinsic|extrinsic|(^|_)(cam(era)?_?(mat(rix)?|k)|pose|homograph\w*|calib\w*)(_|\d|$)", re.I
)
_NORMALISING = re.compile(r"normali[sz]e", re.I)
_MESSAGE = "the whole inverse is formed for one product, and its rounding errors come on top of those of the solution"


def _is_matrix(module: Module, match: Match) -> bool:
    """Whether what is inverted is a tensor for certain: `pose.inverse() @ point` may be a project's own class."""
    inverse = next(op for op in match.ops if op.name in ("inverse", "inv"))
    if inverse.form == "function":
        return True
    node = module.flow(inverse.input).value(inverse.input)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.MatMult)
    if isinstance(node, ast.Call):
        dotted = module.qualified(node.func) or ""
        return dotted.startswith("torch.") or tensor_op(module, node, "transpose", "matmul", "bmm") is not None
    found = module.flow(node).definition(node) if isinstance(node, ast.Name) else None
    return found is not None and found.kind == "parameter" and _is_annotated(module, found)


def _is_annotated(module: Module, found: Definition) -> bool:
    arguments = getattr(found.statement, "args", None)
    if not isinstance(arguments, ast.arguments):
        return False
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == found.name and argument.annotation is not None:
            return re.search(r"\bTensor\b", module.source(argument.annotation)) is not None
    return False


def _is_applied(module: Module, match: Match) -> bool:
    """Whether the inverse has no other reader."""
    for name, found in match.reads:
        readers = module.flow(name).readers(found)
        if readers is None or len(readers) != 1:
            return False
    return True


def _is_well_conditioned(module: Module, match: Match) -> bool:
    """Whether the matrix is that of a camera by its name, or the shift and scale of normalised points."""
    a = match.captures["a"]
    names = [n for n in walk(a) if isinstance(n, (ast.Name, ast.Attribute))]
    if any(_CAMERA.search(last_part(n)) for n in names):
        return True
    return any(isinstance(p, ast.Call) and _NORMALISING.search(last_part(p.func)) for p in origins(module, a))


IDENTITY = Identity(
    name="solve-not-inverse",
    summary="inverse(A) @ b becomes linalg.solve(A, b)",
    severity=Severity.INFO,
    triggers=((b"inverse(", b"inv("), (b"@", b"matmul(", b"mm(", b"mv(")),
    anchor=re.compile(
        r"inverse\((?<=\Winverse\()(?<!def inverse\()|inv\((?<=\Winv\()(?<!def inv\()(?<!np\.linalg\.inv\()"
    ),
    title="write {new}, which factors the matrix and never forms its inverse",
    local="system",
    forms=(
        Form(
            ("inverse($a) @ $b",),
            "torch.linalg.solve({a}, {b})",
            _MESSAGE,
            hazard=(),
            when=(_is_matrix, _is_applied),
        ),
    ),
    silent=(_is_well_conditioned,),
    near_misses=(
        "x @ torch.inverse(y)",
        "torch.inverse(x) * y",
        "torch.inverse(x)",
        "torch.linalg.pinv(x) @ y",
        "torch.linalg.solve(x, y)",
        "x.inverse() @ y",
        "np.linalg.inv(x) @ y",
        "torch.inverse(x, out=y) @ y",
        "torch.inverse(1j * x) @ y",
        "torch.inverse(x) @ (1j * y)",
        "torch.matmul(y, torch.linalg.inv(x))",
        "torch.cholesky_inverse(x) @ y",
    ),
)
RULE = IDENTITY.rule
