"""A weight drawn from a normal distribution of variance 1, whatever the number of its inputs.

The defect
----------
`nn.Parameter(torch.randn(a, b))` multiplies activations, and nothing divides by the square root of the number of
inputs. Every output is a sum of `a` terms of variance 1.

Why it hurts
------------
The layer multiplies the size of its input by the square root of its width: 32 at 1,024 inputs. Three such layers make
33,000, and float16 ends at 65,504; a softmax behind one layer is close to a one-hot; gradients grow by the same
factors. In the snippet three layers of 512 units turn an input of size 1 into one of 11,000, scaled ones leave it at 1.

Before
------

    class Mixer(nn.Module):
        def __init__(self, dim, hidden):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(dim, hidden))

        def forward(self, x):
            return x @ self.weight

After
-----

    class Mixer(nn.Module):
        def __init__(self, dim, hidden):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(dim, hidden) / dim**0.5)

        def forward(self, x):
            return x @ self.weight

Try it
------

    import torch

    torch.manual_seed(0)
    x = y = torch.randn(64, 512)
    for _ in range(3):
        weight = torch.randn(512, 512)
        x, y = x @ weight, y @ (weight * 512**-0.5)
    assert 8000 < x.std() < 16000
    assert 0.8 < y.std() < 1.2

When the fix is safe
--------------------
It is not: a model that is initialised otherwise trains otherwise, and a learning rate that was chosen for it may have
to be chosen again. The direction of every weight stays what it was. With `--unsafe-fixes` the weight is scaled by
1 / sqrt(fan-in), where the product shows which dimension is the input's.

Left alone
----------
What is no weight: positions, tokens, queries, latents, prompts, codebooks, prototypes, anything that is added, looked
up, compared or normalised, and the two factors of one weight. Weights that anything of the project initialises or
scales later,
products that are divided, multiplied or normalised at once, inputs that are normalised, a fan-in of at most 4,
parameters without a gradient, and tests.

Sources
-------
LeCun, Bottou, Orr, Müller: Efficient BackProp (1998), on the size of weights. PyTorch documentation: `torch.nn.init`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autofix import rewrite
from autofix.model import Applicability, Claim, Finding, Fix, Relation, Severity
from autofix.rewrite import Unrewritable
from autofix.rule import Context, Rule
from autofix.syntax import Module
from autofix.transforms.initialisation._elsewhere import may_be_initialised_elsewhere
from autofix.transforms.initialisation._parameters import Made, made_by, sizes
from autofix.transforms.initialisation._reached import may_be_initialised
from autofix.transforms.initialisation._roles import product_of
from autofix.transforms.loops._clipping import is_test

_NO_WEIGHT = re.compile(
    r"embed|pos|lora|low_rank|token|quer|key|latent|prompt|cls|code|proto|cent(er|roid)|memor|slot|anchor|basis|fourier|freq|noise|"
    r"template|seed|class|inducing|dictionary|state|entit|relation|vocab|direction|theta|test",
    re.I,
)
_FEW = 4


def check(node: ast.AST, context: Context) -> Iterator[Finding]:
    assert isinstance(node, ast.Call)
    module = context.module
    made = made_by(module, node)
    if made is None or module.qualified(made.value.func) != "torch.randn" or _NO_WEIGHT.search(made.name):
        return
    fan_in = _fan_in(module, made)
    if fan_in is None or is_test(module, node) or may_be_initialised(module, made):
        return
    if may_be_initialised_elsewhere(module, made):
        return
    inputs = module.source(fan_in)
    message = f"self.{made.name} has variance 1, so a product with it is sqrt({inputs}) times as large as its input"
    try:
        edits = rewrite.replace(module, made.value, "{value} / {inputs}**0.5", value=made.value, inputs=fan_in)
    except Unrewritable as reason:
        yield context.finding(node, message, why=str(reason))
        return
    fix = Fix(
        title=f"scale self.{made.name} by 1 / sqrt(fan-in)",
        edits=edits,
        applicability=Applicability.UNSAFE,
        claim=Claim(
            Relation.INITIALISED,
            results=(f"self.{made.name}",),
            hazard=("value",),
            parameters={"role": "weight"},
            change=f"self.{made.name} is smaller by sqrt({inputs})",
        ),
    )
    yield context.finding(node, message, fix=fix)


def _fan_in(module: Module, made: Made) -> ast.expr | None:
    """The size of the dimension that every product with the weight sums over."""
    given = sizes(made.value)
    if given is None or len(given) != 2 or made.value.keywords:
        return None
    product = product_of(module, made)
    if not product:
        return None
    fan_in = given[0] if product == "right" else given[1]
    if isinstance(fan_in, ast.Constant):
        return fan_in if isinstance(fan_in.value, int) and fan_in.value > _FEW else None
    return fan_in if isinstance(fan_in, (ast.Name, ast.Attribute, ast.BinOp)) else None


RULE = Rule(
    name="param-unscaled-randn",
    summary="a weight of `torch.randn(a, b)` that nothing scales by its number of inputs",
    severity=Severity.WARNING,
    triggers=((b"Parameter(",), (b"randn(",)),
    anchor=re.compile(
        r"Parameter\((?!\s*(?:torch\.)?(?:zeros|ones|empty|tensor|full|eye)\()"
        r"(?!\s*(?:torch\.)?randn\((?:1\W|[^,()\n]+(?:,[^,()\n]+,[^()\n]*)?\)|[^()\n]*\) ?[*/]))"
    ),
    nodes=(ast.Call,),
    check=check,
    beside=re.compile(r"randn\("),
)
