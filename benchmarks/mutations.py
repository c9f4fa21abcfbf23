"""Small changes of a module's source that its tests should notice."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
PAIRS = [
    ("min", "max"), ("minimum", "maximum"), ("nanmin", "nanmax"), ("amin", "amax"),
    ("argmin", "argmax"), ("any", "all"), ("floor", "ceil"), ("sin", "cos"), ("sum", "mean"),
    ("zeros_like", "ones_like"), ("zeros", "ones"), ("new_zeros", "new_ones"),
    ("exp", "log"),
]  # fmt: skip
OTHER_NAMES = dict(PAIRS) | {b: a for a, b in PAIRS}
TRANSPARENT = {"abs", "clamp", "clamp_", "round", "nan_to_num", "sort", "flip", "sign", "detach"}
"""Methods whose result has the shape of what they are called on: a change leaves them out."""
LEFT_ALONE = {"annotation", "returns", "decorator_list", "type_params"}


@dataclass(frozen=True)
class Mutant:
    """A changed module.

    Attributes:
        where: the function or class that is changed, dotted; empty for the module itself.
        lines: first and last line of the changed statement; of one with a body, its head's.
        at_import: whether the statement runs as the module is imported.
        change: the expression or statement before and after.
        source: the whole module.
    """

    where: str
    lines: tuple[int, int]
    at_import: bool
    change: str
    source: str


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    value: Any = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield ast.Constant(value - 1)
    elif isinstance(value, float):
        yield ast.Constant(value + 1.0)
        yield ast.Constant(2 * value if value else -1.0)


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand for an expression."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                changed = copy.deepcopy(node)
                changed.ops[place] = other()
                yield changed
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for place in range(len(node.values)):
            others = [v for i, v in enumerate(node.values) if i != place]
            yield others[0] if len(others) == 1 else ast.BoolOp(node.op, others)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.Call):
        yield from _calls(node)


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    function = node.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    if name in OTHER_NAMES:
        changed = copy.deepcopy(node)
        if isinstance(changed.func, ast.Attribute):
            changed.func.attr = OTHER_NAMES[name]
        elif isinstance(changed.func, ast.Name):
            changed.func.id = OTHER_NAMES[name]
        yield changed
    if isinstance(function, ast.Attribute) and name in TRANSPARENT:
        yield function.value
    if name == "where" and len(node.args) == 3:  # of np and torch
        yield node.args[1]
        yield node.args[2]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand for a statement."""
    if isinstance(node, ast.Expr | ast.Raise | ast.AugAssign | ast.Break | ast.Continue):
        yield ast.Pass()
    if isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value)
    if isinstance(node, ast.If | ast.While) and not isinstance(
        node.test, ast.Compare | ast.UnaryOp
    ):
        changed = copy.copy(node)  # those two are changed as expressions
        changed.test = ast.UnaryOp(ast.Not(), node.test)
        yield changed
    if isinstance(node, ast.Return) and not isinstance(node.value, ast.Constant | None):
        yield ast.Return(ast.Constant(None))
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        for place in range(len(node.decorator_list)):
            changed = copy.copy(node)
            changed.decorator_list = [d for i, d in enumerate(node.decorator_list) if i != place]
            yield changed


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class _Site(NamedTuple):
    """A node that may be changed, and where it hangs."""

    parent: ast.AST
    field: str
    place: int | None
    names: tuple[str, ...]
    statement: ast.AST
    at_import: bool

    def get(self) -> ast.AST:
        value = getattr(self.parent, self.field)
        return value if self.place is None else value[self.place]

    def put(self, node: ast.AST) -> None:
        if self.place is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.place] = node


def _sites(
    node: ast.AST, names: tuple[str, ...], statement: ast.AST, inside: bool = False
) -> Iterator[_Site]:
    """All nodes below one that may be changed; `inside` a function or not."""
    if isinstance(node, ast.Raise):  # wording is not tested
        return
    for field, value in ast.iter_fields(node):
        if field in LEFT_ALONE:
            continue
        several = isinstance(value, list)
        for place, child in enumerate(value if several else [value]):
            if not isinstance(child, ast.AST) or _is_docstring(child):
                continue
            defined = isinstance(child, ast.FunctionDef | ast.ClassDef)
            within = (*names, child.name) if defined else names
            around = child if isinstance(child, ast.stmt) else statement
            called = inside or (isinstance(node, ast.FunctionDef) and field == "body")
            at_import = not called or isinstance(around, ast.FunctionDef | ast.ClassDef)
            yield _Site(node, field, place if several else None, within, around, at_import)
            yield from _sites(child, within, around, called)


def _line(node: ast.AST) -> str:
    """A node in one line; of what has a body, its head."""
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        lines = text.splitlines()
        heads = [line for line in lines if line.startswith(("@", "def ", "class "))]
        return " ".join(heads)
    if isinstance(node, ast.If | ast.While | ast.For | ast.With | ast.Try):
        return text.splitlines()[0]
    return " ".join(text.split())


def _words(statement: ast.AST, before: ast.AST, after: ast.AST) -> str:
    change = f"{_line(before)} -> {_line(after)}"
    return change if isinstance(before, ast.stmt) else f"{change} in {_line(statement)[:100]}"


def _lines(statement: ast.AST) -> tuple[int, int]:
    assert isinstance(statement, ast.stmt)
    body = getattr(statement, "body", None)
    last = statement.end_lineno if body is None else body[0].lineno - 1
    return statement.lineno, max(statement.lineno, last or 0)


def mutants(source: str) -> list[Mutant]:
    """All changes of a module, one each; type hints, decorators' arguments and what `raise`
    says are left alone.

    >>> [m.change for m in mutants("def f(x):\\n    return x < 2")]
    ['return x < 2 -> return None', 'x < 2 -> x <= 2 in return x < 2', \
'x < 2 -> x >= 2 in return x < 2', '2 -> 3 in return x < 2', '2 -> 1 in return x < 2']
    """
    tree = ast.parse(source)
    found: list[Mutant] = []
    seen = {ast.unparse(tree)}
    for site in list(_sites(tree, (), tree)):
        node = site.get()
        for other in (*_expressions(node), *_statements(node)):
            site.put(other)
            changed = ast.unparse(ast.fix_missing_locations(tree))
            site.put(node)
            if changed in seen:
                continue
            seen.add(changed)
            change = _words(site.statement, node, other)
            where = ".".join(site.names)
            found.append(Mutant(where, _lines(site.statement), site.at_import, change, changed))
    return found
