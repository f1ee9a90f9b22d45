"""The small changes that a mutation run makes; see docs/mutation.md."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

Change = Callable[[ast.AST], None]
"""Changes a node in place; it gets a copy."""

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "reversed": "list", "sorted": "list"}
_METHODS = {"startswith": "endswith", "endswith": "startswith", "lower": "upper", "append": "extend"}
_MEMBERS = {"EventKind": ("CANCELED", "PAID"), "Effect": ("RECORDED", "COUNTS")}
"""What a member of an enumeration becomes, and what that one becomes itself."""


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A module's whole text with one change: the line of it, and what stood there and stands there now."""

    text: str
    line: int
    before: str
    after: str


def mutations(source: str) -> Iterator[Mutation]:
    """Yield every mutation of a module.

    Left alone is what no program can notice or no test should: docstrings, annotations, imports, decorators.
    """
    tree = ast.parse(source)
    skipped = set(map(id, chain.from_iterable(ast.walk(root) for root in _left_alone(tree))))
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in skipped:
            continue
        for change in _changes(node):
            changed = copy.deepcopy(tree)
            place = next(candidate for at, candidate in enumerate(ast.walk(changed)) if at == number)
            change(place)
            line = getattr(node.iter if isinstance(node, ast.comprehension) else node, "lineno", 0)
            text = ast.unparse(ast.fix_missing_locations(changed))
            yield Mutation(text=text, line=line, before=ast.unparse(node), after=ast.unparse(place))


def _left_alone(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                yield node
            case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation):
                yield annotation
            case ast.FunctionDef(decorator_list=decorators, returns=returns):
                yield from [*decorators, *([returns] if returns else [])]
            case ast.ClassDef(decorator_list=decorators):
                yield from decorators


def _changes(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                for other in _COMPARED[type(op)]:
                    yield _with("ops", [*ops[:place], other(), *ops[place + 1 :]])
        case ast.BoolOp(op=op, values=values):
            yield _with("op", ast.Or() if isinstance(op, ast.And) else ast.And())
            for place in range(len(values)):
                yield _without("values", place)
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _CALCULATED:
            yield _with("op", _CALCULATED[type(op)]())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield _become(operand)
        case ast.Constant(value=value):
            yield from _of_constant(value)
        case ast.IfExp(body=body, orelse=orelse):
            yield _become(body)
            yield _become(orelse)
        case ast.If(test=test) | ast.While(test=test):
            yield _with("test", ast.UnaryOp(op=ast.Not(), operand=test))
        case ast.comprehension(ifs=ifs):
            for place in range(len(ifs)):
                yield _without("ifs", place)
        case ast.Call(keywords=keywords):
            for place in range(len(keywords)):
                yield _without("keywords", place)
        case ast.Name(id=name) if name in _NAMES:
            yield _with("id", _NAMES[name])
        case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in _MEMBERS:
            usual, instead = _MEMBERS[name]
            yield _with("attr", instead if attr == usual else usual)
        case ast.Attribute(attr=attr) if attr in _METHODS:
            yield _with("attr", _METHODS[attr])
        case ast.Return(value=value) if value is not None and ast.unparse(value) != "None":
            yield _with("value", ast.Constant(value=None))
        case ast.Continue():
            yield _become(ast.Break())
        case ast.Tuple(elts=elts, ctx=ast.Load()) if len(elts) > 2:
            for place in range(len(elts)):
                yield _without("elts", place)
        case ast.Expr() | ast.Raise():
            yield _become(ast.Pass())
    if isinstance(node, ast.AugAssign):
        yield _become(ast.Pass())


def _of_constant(value: object) -> Iterator[Change]:
    if isinstance(value, bool):
        yield _with("value", not value)
    elif isinstance(value, int):
        yield _with("value", value + 1)
    elif isinstance(value, str):
        yield _with("value", f"{value}XX")


def _with(field: str, value: object) -> Change:
    return lambda node: setattr(node, field, value)


def _without(field: str, place: int) -> Change:
    return lambda node: getattr(node, field).__delitem__(place)


def _become(other: ast.AST) -> Change:
    """Turn a node into another one where it stands."""

    def change(node: ast.AST) -> None:
        node.__class__ = other.__class__
        vars(node).clear()
        vars(node).update(vars(copy.deepcopy(other)))

    return change
