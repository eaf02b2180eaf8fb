"""Rewriting with libcst: captured sub-expressions move as nodes, parentheses are added where precedence needs them.

Rules name the pieces by `ast` node; this module parses the smallest whole expression around them with libcst, moves
the nodes into a template and returns edits of byte spans. Text outside the replaced node is never touched.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

import libcst as cst

from autofix.model import Edit
from autofix.syntax import Module
from autofix.tree import children

Captured = ast.expr | str
_MAX_DEPTH = 150  # libcst recurses; deeper expressions are reported without a fix
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Unrewritable(Exception):
    """The code here has a shape that this module does not rewrite; the text says why, for a person."""


def replace(module: Module, target: ast.expr, template: str, **captures: Captured) -> tuple[Edit, ...]:
    """Replace `target` by the expression `template`, in which `{name}` stands for a capture.

    A capture is an `ast` node of this module (moved with its comments, quotes and line breaks) or source text.
    Comments inside `target` that no capture carries are kept, on lines of their own above the statement.

    Raises:
        Unrewritable: the target is nested too deeply, or stands inside an f-string.
    """
    new = _expression(module, template, captures)
    new = _parenthesise(new, _context_precedence(module, target))
    start, end = module.chars(target)
    text = cst.Module(body=[]).code_for_node(new)
    if _needs_brackets(module, target, text):
        text = f"({text})"
    return (*_rescued_comments(module, target, captures), Edit(module.char_span(start, end), text))


def expression(module: Module, template: str, **captures: Captured) -> str:
    """The source text of `template` with its captures filled in (as `replace` would write it)."""
    return cst.Module(body=[]).code_for_node(_expression(module, template, captures))


def insert_before(module: Module, statement: ast.stmt, *lines: str) -> Edit:
    """Insert whole statements (source text, made with `expression`) above `statement`, at its indentation.

    Raises:
        Unrewritable: `statement` does not start its line.
    """
    indent = _indentation(module, statement)
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
    at = module.line_start(module._char(first, 0))
    return module.insertion(at, "".join(f"{indent}{line}\n" for line in lines))


def insert_after(module: Module, statement: ast.stmt, *lines: str) -> Edit:
    """Insert whole statements below `statement`, at its indentation.

    Raises:
        Unrewritable: `statement` shares a line with another one.
    """
    indent = _indentation(module, statement)
    _, end = module.chars(statement)
    line_end = re.compile(r"\r\n|\r|\n").search(module.text, end)
    rest = module.text[end : line_end.start() if line_end else len(module.text)]
    if rest.strip() and not rest.strip().startswith("#"):
        raise Unrewritable("another statement follows on the same line")
    if line_end is None:
        return module.insertion(len(module.text), "".join(f"\n{indent}{line}" for line in lines))
    return module.insertion(line_end.end(), "".join(f"{indent}{line}\n" for line in lines))


def delete(module: Module, statement: ast.stmt) -> Edit:
    """Remove a statement and its line.

    Raises:
        Unrewritable: it shares its line, carries a comment, or is the only statement of its block.
    """
    _indentation(module, statement)
    if len(module.block(statement)) == 1:
        raise Unrewritable("it is the only statement of its block")
    start, end = module.chars(statement)
    at = module.line_start(start)
    line_end = re.compile(r"\r\n|\r|\n").search(module.text, end)
    rest = module.text[end : line_end.start() if line_end else len(module.text)]
    if rest.strip() or any(start <= c < end for c, _ in module.comments):
        raise Unrewritable("a comment or another statement shares its line")
    return Edit(module.char_span(at, line_end.end() if line_end else len(module.text)), "")


def _indentation(module: Module, statement: ast.stmt) -> str:
    indent = module.indentation(statement)
    if indent is None:
        raise Unrewritable("the statement shares its line with another one")
    return indent


# -- captures --------------------------------------------------------------------------------------------------


def _expression(module: Module, template: str, captures: Mapping[str, Captured]) -> cst.BaseExpression:
    """Parse the template with the captured nodes in place, each in parentheses where its place needs them."""
    names = {name: f"__autofix_{name}__" for name in captures}
    skeleton = cst.parse_expression(_PLACEHOLDER.sub(lambda m: names[m.group(1)], template))
    nodes = {names[name]: _node(module, value) for name, value in captures.items()}
    filled = skeleton.visit(_Fill(nodes))
    if not isinstance(filled, cst.BaseExpression):
        raise TypeError(f"not an expression: {template}")
    return filled


def _node(module: Module, captured: Captured) -> cst.BaseExpression:
    if isinstance(captured, str):
        return cst.parse_expression(captured)
    if _depth(captured) > _MAX_DEPTH:
        raise Unrewritable(f"the expression is nested more than {_MAX_DEPTH} levels deep")
    start, end = module.chars(captured)
    text = module.text[start:end].replace("\r\n", "\n").replace("\r", "\n")
    if isinstance(captured, ast.Starred):
        raise Unrewritable("a starred argument cannot be moved")
    try:
        return cst.parse_expression(text)
    except cst.ParserSyntaxError:  # line breaks that were legal inside the brackets around it
        return cst.parse_expression(f"(\n{text}\n)")


class _Fill(cst.CSTTransformer):
    """Put captured nodes in place of their names, in parentheses where precedence needs them."""

    def __init__(self, nodes: Mapping[str, cst.BaseExpression]) -> None:
        super().__init__()
        self._nodes = nodes

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        node = self._nodes.get(original_node.value)
        return updated_node if node is None else node.deep_clone()

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
        return updated_node.with_changes(value=_parenthesise(updated_node.value, _ATOM))

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        return updated_node.with_changes(
            func=_parenthesise(updated_node.func, _ATOM),
            args=[a.with_changes(value=_parenthesise(a.value, _ARGUMENT)) for a in updated_node.args],
        )

    def leave_Subscript(self, original_node: cst.Subscript, updated_node: cst.Subscript) -> cst.BaseExpression:
        return updated_node.with_changes(value=_parenthesise(updated_node.value, _ATOM))

    def leave_BinaryOperation(
        self, original_node: cst.BinaryOperation, updated_node: cst.BinaryOperation
    ) -> cst.BaseExpression:
        own = _operator_precedence(updated_node.operator)
        right_associative = isinstance(updated_node.operator, cst.Power)
        return updated_node.with_changes(
            left=_parenthesise(updated_node.left, own + right_associative),
            right=_parenthesise(updated_node.right, own if right_associative else own + 1),
        )

    def leave_UnaryOperation(
        self, original_node: cst.UnaryOperation, updated_node: cst.UnaryOperation
    ) -> cst.BaseExpression:
        level = _NOT if isinstance(updated_node.operator, cst.Not) else _UNARY
        return updated_node.with_changes(expression=_parenthesise(updated_node.expression, level))

    def leave_Comparison(self, original_node: cst.Comparison, updated_node: cst.Comparison) -> cst.BaseExpression:
        return updated_node.with_changes(
            left=_parenthesise(updated_node.left, _COMPARE + 1),
            comparisons=[
                c.with_changes(comparator=_parenthesise(c.comparator, _COMPARE + 1)) for c in updated_node.comparisons
            ],
        )


# -- precedence ------------------------------------------------------------------------------------------------

# Python's own table, loosest first.
_ANYTHING, _ARGUMENT, _LAMBDA, _TERNARY, _OR, _AND, _NOT, _COMPARE = range(8)
_BIT_OR, _BIT_XOR, _BIT_AND, _SHIFT, _SUM, _PRODUCT, _UNARY, _POWER, _AWAIT, _ATOM = range(8, 18)

_BINARY: dict[type, int] = {
    cst.BitOr: _BIT_OR, cst.BitXor: _BIT_XOR, cst.BitAnd: _BIT_AND, cst.LeftShift: _SHIFT, cst.RightShift: _SHIFT,
    cst.Add: _SUM, cst.Subtract: _SUM, cst.Multiply: _PRODUCT, cst.Divide: _PRODUCT, cst.FloorDivide: _PRODUCT,
    cst.Modulo: _PRODUCT, cst.MatrixMultiply: _PRODUCT, cst.Power: _POWER,
}  # fmt: skip
_AST_BINARY: dict[type, int] = {
    ast.BitOr: _BIT_OR, ast.BitXor: _BIT_XOR, ast.BitAnd: _BIT_AND, ast.LShift: _SHIFT, ast.RShift: _SHIFT,
    ast.Add: _SUM, ast.Sub: _SUM, ast.Mult: _PRODUCT, ast.Div: _PRODUCT, ast.FloorDiv: _PRODUCT,
    ast.Mod: _PRODUCT, ast.MatMult: _PRODUCT, ast.Pow: _POWER,
}  # fmt: skip


def _operator_precedence(operator: cst.BaseBinaryOp) -> int:
    return _BINARY[type(operator)]


def _precedence(node: cst.BaseExpression) -> int:
    if isinstance(node, (cst.Yield, cst.NamedExpr)):
        return _ANYTHING
    if isinstance(node, cst.Lambda):
        return _LAMBDA
    if isinstance(node, cst.IfExp):
        return _TERNARY
    if isinstance(node, cst.BooleanOperation):
        return _OR if isinstance(node.operator, cst.Or) else _AND
    if isinstance(node, cst.UnaryOperation):
        return _NOT if isinstance(node.operator, cst.Not) else _UNARY
    if isinstance(node, cst.Comparison):
        return _COMPARE
    if isinstance(node, cst.BinaryOperation):
        return _operator_precedence(node.operator)
    if isinstance(node, cst.Await):
        return _AWAIT
    if isinstance(node, cst.Tuple):
        return _ANYTHING
    if isinstance(node, cst.GeneratorExp):
        return _ANYTHING
    if isinstance(node, (cst.Integer, cst.Float)):
        return _POWER  # `1.real` needs brackets
    return _ATOM


def _parenthesise(node: cst.BaseExpression, needed: int) -> cst.BaseExpression:
    if node.lpar or _precedence(node) >= needed:
        return node
    return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def _context_precedence(module: Module, target: ast.expr) -> int:
    """The precedence that an expression must have to stand where `target` stands, unbracketed."""
    start, end = module.chars(target)
    before = module.text[:start].rstrip()
    after = module.text[end:].lstrip()
    if before.endswith("(") and after.startswith(")") and not isinstance(module.parent(target), ast.Call):
        return _ANYTHING
    parent = module.parent(target)
    if any(isinstance(a, ast.JoinedStr) for a in module.ancestors(target)):
        raise Unrewritable("it stands inside an f-string")
    if isinstance(parent, ast.BinOp):
        own = _AST_BINARY[type(parent.op)]
        power = isinstance(parent.op, ast.Pow)
        return own + (power if parent.left is target else not power)
    if isinstance(parent, ast.UnaryOp):
        return _NOT if isinstance(parent.op, ast.Not) else _UNARY
    if isinstance(parent, ast.Compare):
        return _COMPARE + 1
    if isinstance(parent, ast.BoolOp):
        return _OR + 1 if isinstance(parent.op, ast.Or) else _AND + 1
    if isinstance(parent, (ast.Attribute, ast.Subscript)) and parent.value is target:
        return _ATOM
    if isinstance(parent, ast.Call):
        return _ATOM if parent.func is target else _ARGUMENT
    if isinstance(parent, ast.Await):
        return _ATOM
    if isinstance(parent, ast.IfExp):
        return _OR
    if isinstance(parent, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr)):
        return _ARGUMENT
    return _LAMBDA


def _needs_brackets(module: Module, target: ast.expr, text: str) -> bool:
    """Whether a replacement with line breaks of its own stands where no bracket makes them legal."""
    if "\n" not in text:
        return False
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return True
    return False


def _depth(node: ast.AST) -> int:
    deepest, pending = 0, [(node, 1)]
    while pending:
        current, depth = pending.pop()
        deepest = max(deepest, depth)
        if deepest > _MAX_DEPTH:
            return deepest
        pending.extend((child, depth + 1) for child in children(current))
    return deepest


# -- comments --------------------------------------------------------------------------------------------------


def _rescued_comments(module: Module, target: ast.expr, captures: Mapping[str, Captured]) -> tuple[Edit, ...]:
    """Comments inside `target` that no capture carries, as lines above the statement."""
    start, end = module.chars(target)
    if "#" not in module.text[start:end]:
        return ()
    kept = [module.chars(c) for c in captures.values() if isinstance(c, ast.AST)]
    lost = [
        module.text[a:b]
        for a, b in module.comments
        if start <= a and b <= end and not any(s <= a and b <= e for s, e in kept)
    ]
    if not lost:
        return ()
    return (insert_before(module, module.statement(target), *lost),)
