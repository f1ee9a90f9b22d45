"""The changes that a mutation run makes."""

import ast

import pytest

from bench.mutations import mutations


@pytest.mark.parametrize(
    ("expression", "changed"),
    [
        ("a < b", {"a <= b", "a > b"}),
        ("a >= b", {"a > b", "a <= b"}),
        ("a is b", {"a is not b"}),
        ("a and b", {"a or b", "a", "b"}),
        ("a + b", {"a - b"}),
        ("not a", {"a"}),
        ("a if b else c", {"a", "c"}),
        ("7", {"8"}),
        ("True", {"False"}),
        ("'a'", {"'aXX'"}),
        ("f(a=b)", {"f()"}),
        ("min(a)", {"max(a)"}),
        ("a.startswith(b)", {"a.endswith(b)"}),
        ("EventKind.PAID", {"EventKind.CANCELED"}),
        ("Effect.RECORDED", {"Effect.COUNTS"}),
        ("(a, b, c)", {"(b, c)", "(a, c)", "(a, b)"}),
        ("[a for a in b if c]", {"[a for a in b]"}),
    ],
)
def test_what_becomes_of_an_expression(expression: str, changed: set[str]) -> None:
    """Each change is made alone."""
    texts = [mutation.text for mutation in mutations(f"x = {expression}")]

    assert sorted(texts) == sorted(f"x = {text}" for text in changed)


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        ("if a:\n    b()", {"if not a:\n    b()", "if a:\n    pass"}),
        ("for a in b:\n    continue", {"for a in b:\n    break"}),
        ("a += b", {"a -= b", "pass"}),
        ("raise a", {"pass"}),
    ],
)
def test_what_becomes_of_a_statement(statement: str, changed: set[str]) -> None:
    texts = [mutation.text for mutation in mutations(statement)]

    assert sorted(texts) == sorted(changed)


def test_what_a_function_returns_may_be_nothing() -> None:
    texts = {mutation.text for mutation in mutations("def f(a):\n    return a")}

    assert texts == {"def f(a):\n    return None"}


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "from a import b",
        "a: Literal[1] = b",
        "@dataclass(frozen=True)\nclass A:\n    a: int",
        "def f(a: Literal[1]) -> Literal[2]:\n    return None",
    ],
)
def test_what_is_left_alone(source: str) -> None:
    assert list(mutations(source)) == []


def test_a_mutation_says_where_it_is() -> None:
    [mutation] = mutations("a = b\nc = d is e")

    assert (mutation.line, mutation.before, mutation.after) == (2, "d is e", "d is not e")
    assert ast.unparse(ast.parse(mutation.text)) == "a = b\nc = d is not e"
