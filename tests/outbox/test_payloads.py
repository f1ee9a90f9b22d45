"""What rows carry is stored as JSON that stays what it was."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qlmhook.outbox import payloads
from qlmhook.outbox.payloads import (
    AlertPayload,
    ConfirmationPayload,
    EnrichmentPayload,
    Kind,
    MailPayload,
    Payload,
)
from qlmhook.storage import models
from tests.support.released import load, rows

STORED = {
    "mail": ('{"template": "Order"}', MailPayload(template="Order")),
    "mail that an operator sent again": (
        '{"template": "Order", "license": 7, "to_customer": false}',
        MailPayload(template="Order", license=7, to_customer=False),
    ),
    "mail that an operator sent again with 0.1.0": (
        '{"template": "Order", "license": 7}',
        MailPayload(template="Order", license=7),
    ),
    "confirmation": ('{"notification": 7}', ConfirmationPayload(notification=7)),
    "confirmation that waited": (
        '{"notification": 7, "waited_until": "2026-01-01T12:00:00.250000+00:00"}',
        ConfirmationPayload(notification=7, waited_until=datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)),
    ),
    "alert": ('{"text": "Gr\\u00f6\\u00dfe"}', AlertPayload(text="Größe")),
    "enrichment": ('{"notification": 7}', EnrichmentPayload(notification=7)),
}


def row(kind: str, text: str) -> models.Outbox:
    return models.Outbox(kind=kind, payload=text)


@pytest.mark.parametrize(("text", "payload"), STORED.values(), ids=STORED)
def test_what_is_stored_is_read(text: str, payload: Payload) -> None:
    assert payloads.of(row(payload.kind, text), type(payload)) == payload


@pytest.mark.parametrize(("text", "payload"), STORED.values(), ids=STORED)
def test_what_is_written_is_what_is_stored(text: str, payload: Payload) -> None:
    assert json.loads(payloads.to_text(payload)) == json.loads(text)


def test_every_row_of_an_earlier_release_is_read_and_would_be_written_alike(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'left.db'}"
    load(url)
    left = [(entry["kind"].replace("idn", "confirmation"), entry["payload"]) for entry in rows(url)["outbox"]]

    again = [payloads.to_text(payloads.of(row(kind, text), Payload)) for kind, text in left]

    assert {kind for kind, _ in left} == set(Kind) - {Kind.ENRICHMENT}
    assert [json.loads(text) for text in again] == [json.loads(text) for _, text in left]
