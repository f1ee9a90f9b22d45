"""The fields that settings are checked with, and the sentences about what is wrong."""

from typing import Any

import pytest
from marshmallow import Schema, ValidationError, fields

from qlmhook.vendors import Keys, Url, explain


class Shop(Schema):
    """A schema with a list of sections."""

    secrets = Keys()
    numbers = fields.List(fields.Integer())
    sections = fields.List(fields.Nested(Schema.from_dict({"size": fields.Integer()})))


def loaded(given: object) -> Any:
    return Shop().load({"secrets": given})["secrets"]


def complaint(**given: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Shop().load(given)
    return explain(caught.value.messages, "shop")


@pytest.mark.parametrize("given", [["new", "old"], "new\nold", '["new", "old"]', ["new", "", "old", " "]])
def test_each_key_has_its_name_and_is_in_bytes(given: object) -> None:
    """However it is written; what is blank is no key."""
    assert loaded(given) == [("secrets[0]", b"new"), ("secrets[1]", b"old")]


def test_a_key_may_have_any_character() -> None:
    assert loaded(["Größe"]) == [("secrets[0]", "Größe".encode())]


@pytest.mark.parametrize("given", [5, [5], {"new": "old"}, None])
def test_what_is_no_list_of_texts_has_no_keys(given: object) -> None:
    with pytest.raises(ValidationError):
        loaded(given)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/orders?a=1",
        "https://10.0.0.1/",
        "https://shop.example:8443",
        "http://localhost/orders",
        "http://127.0.0.1:8080",
        "http://127.0.0.2/",
        "http://[::1]:8080/orders",
        "HTTP://LOCALHOST/",
    ],
)
def test_https_goes_anywhere_and_http_stays_on_this_machine(url: str) -> None:
    assert Url().deserialize(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "//shop.example/",
        "https://",
        "https:///orders",
        "ftp://localhost/",
        "http://shop.example/",
        "http://10.0.0.1/",
        "http://localhost.shop.example/",
        "http://0.0.0.0/",
        "http://[::ffff:10.0.0.1]/",
        "https://shop.example:0/",
        "https://shop.example:99999/",
        "https://shop.example:port/",
        "https://[::1/",
        "https://user@shop.example/",
        "https://user:password@shop.example/",
        "http://localhost@shop.example/",
    ],
)
def test_any_other_url_is_refused(url: str) -> None:
    """The sentence does not repeat it: it may have a password in it."""
    with pytest.raises(ValidationError) as caught:
        Url().deserialize(url)

    assert caught.value.messages == [
        "must be an https:// URL without user and password; http:// is for this machine only"
    ]


@pytest.mark.parametrize("given", [5, ["https://shop.example/"], b"\xff", None])
def test_what_is_no_text_is_no_url(given: object) -> None:
    with pytest.raises(ValidationError):
        Url().deserialize(given)


def test_everything_that_is_wrong_is_told_by_its_full_name() -> None:
    told = complaint(secrets=5, other=1)

    assert told == "shop.secrets: must be a list of texts. shop.other: there is no such setting."


def test_of_a_list_the_first_wrong_element_is_told() -> None:
    """A list of thousands would make thousands of sentences."""
    assert complaint(numbers=[1, "two", "three"]) == "shop.numbers: Not a valid integer."
    assert complaint(sections=[{"size": 1}, {"size": "two"}, {"size": "three"}]) == (
        "shop.sections.size: Not a valid integer."
    )
