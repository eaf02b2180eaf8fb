"""Losses that are the logarithm of a density which training can raise without limit."""

from __future__ import annotations

import ast
import re

from autofix.flow import parameter_default
from autofix.syntax import Module
from autofix.transforms.loops._bindings import constructors, enclosing_scopes, last_name, parameter
from autofix.transforms.loops._stepped import Stepped, identifiers
from autofix.tree import walk

_VOLUME = re.compile(
    r"^(sum_?|inv_?)?(s?ldj|ladj|s?log_?(abs_?)?det(_?j\w*)?|log_?jac\w*|delta_?log_?p\w?)(_|$)|log_abs_det_jacobian",
    re.I,
)
_FLOW = re.compile(r"(^|_)(flow|maf|iaf|nsf|glow|real_?nvp|nice)s?(_|\d|$)", re.I)
_FLOW_PACKAGES = ("nflows.", "normflows.", "zuko.flows.", "flowtorch.", "FrEIA.")
_ASKED = ("log_prob", "forward_kld")
_DENSITIES = {
    "Normal": "scale",
    "LogNormal": "scale",
    "Laplace": "scale",
    "Cauchy": "scale",
    "StudentT": "scale",
    "MultivariateNormal": "covariance_matrix",
}
_OTHER_WIDTHS = ("scale_tril", "precision_matrix")
_BOUNDS = ("clamp", "clamp_", "clamp_min", "clip", "sigmoid", "tanh", "hardtanh")


def is_unbounded(module: Module, model: Stepped, around: list[ast.AST]) -> bool:
    """Whether the loss takes the change of volume of a flow, or the density of a distribution whose width is learnt
    and bounded by nothing in view.

    The evidence bound of a variational autoencoder alone is neither: its likelihood mostly has a fixed width, and its
    gradient a norm far above 1 in every step.
    """
    words = {w for n in around for w in identifiers(n)}
    if any(_VOLUME.search(w) for w in words):
        return True
    asked = [n.value for n in around if isinstance(n, ast.Attribute) and n.attr in _ASKED]
    if not asked:
        return False
    if any(_VOLUME.search(w) for w in model.words):
        return True
    built = [b.func for b in model.built if isinstance(b, ast.Call)]
    if any((module.qualified(b) or "").startswith(_FLOW_PACKAGES) for b in built):
        return True
    made = [v for a in asked for v in constructors(module, a)]
    if any(_FLOW.search(last_name(a)) for a in (*asked, *made)):
        return True
    nodes = [*around, *model.nodes]
    if any(isinstance(n, ast.Call) and last_name(n.func) in _BOUNDS for n in nodes):
        return False
    widths = [w for d in (*asked, *made) if (w := _width(d)) is not None]
    if widths:
        return all(_is_learnt(w) and not _is_number(module, w) for w in widths)
    widths = [w for n in model.nodes if (w := _width(n)) is not None]
    return bool(widths) and all(_is_learnt(w) for w in widths)


def _width(node: ast.AST) -> ast.expr | None:
    """`scale` in `Normal(loc, scale)`."""
    name = last_name(node.func) if isinstance(node, ast.Call) else ""
    if not isinstance(node, ast.Call) or name not in _DENSITIES or not isinstance(node.func, (ast.Name, ast.Attribute)):
        return None
    named = (k.value for k in node.keywords if k.arg in (_DENSITIES[name], *_OTHER_WIDTHS))
    place = 2 if name == "StudentT" else 1
    return next(named, node.args[place] if len(node.args) > place else None)


def _is_learnt(width: ast.expr) -> bool:
    """Whether a width is more than numbers and tensors of ones."""
    if any(
        isinstance(n, ast.Call) and re.match(r"(ones|full|eye|zeros)(_like)?$", last_name(n.func)) for n in walk(width)
    ):
        return False
    return any(isinstance(n, (ast.Name, ast.Attribute)) for n in walk(width))


def _is_number(module: Module, width: ast.expr, steps: int = 3) -> bool:
    """Whether a width is a number, by what it is assigned or by the default of the argument that it is."""
    if isinstance(width, ast.Constant):
        return isinstance(width.value, (int, float))
    if isinstance(width, ast.Call):
        given = last_name(width.func) in ("get", "pop", "getattr") and width.args
        return bool(given) and _is_number(module, width.args[-1], 0)
    if not steps:
        return False
    values = constructors(module, width)
    if not values and isinstance(width, ast.Name):
        homes = (s for s in enclosing_scopes(module, width) if parameter(s, width.id) is not None)
        default = parameter_default(home, width.id) if (home := next(homes, None)) is not None else None
        return default is not None and _is_number(module, default, 0)
    return bool(values) and all(_is_number(module, v, steps - 1) for v in values)
