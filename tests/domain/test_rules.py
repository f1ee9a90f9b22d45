"""The state table: what an event does under each setting."""

import re
from pathlib import Path

import pytest

from qlmhook.domain.events import EventKind
from qlmhook.domain.rules import RULES, Effect, Policy, effect_of
from tests.support.made import STRICT
from tests.support.state_table import as_markdown

PAGE = Path(__file__).parents[2] / "docs" / "license-states.md"

MILD, ON_REFUND, ON_CANCEL = Policy(), Policy(revoke_on_refund=True), Policy(revoke_on_cancel=True)
ALWAYS = {
    EventKind.PAID: Effect.COUNTS,
    EventKind.UNDER_REVIEW: Effect.WAITS,
    EventKind.CHARGEBACK_OPENED: Effect.SUSPENDS,
    EventKind.CHARGEBACK_WON: Effect.RESTORES,
    EventKind.CHARGEBACK_LOST: Effect.LOSES,
    EventKind.SUBSCRIPTION: Effect.FOLLOWS,
    EventKind.CUSTOMER: Effect.NAMES,
}
CHOSEN = {
    EventKind.REFUNDED: ON_REFUND,
    EventKind.REVERSED: ON_REFUND,
    EventKind.CANCELED: ON_CANCEL,
}


@pytest.mark.parametrize("policy", [MILD, ON_REFUND, ON_CANCEL, STRICT])
@pytest.mark.parametrize("kind", ALWAYS)
def test_most_events_leave_no_choice(kind: EventKind, policy: Policy) -> None:
    assert effect_of(kind, policy) is ALWAYS[kind]


@pytest.mark.parametrize("policy", [MILD, ON_REFUND, ON_CANCEL, STRICT])
@pytest.mark.parametrize("kind", CHOSEN)
def test_what_takes_money_back_undoes_the_purchase_where_the_operator_wants_it(kind: EventKind, policy: Policy) -> None:
    """Each by its own setting; without it the event is recorded."""
    undoes = policy in (CHOSEN[kind], STRICT)

    assert effect_of(kind, policy) is (Effect.UNDOES if undoes else Effect.RECORDED)


def test_without_a_choice_nothing_is_revoked() -> None:
    assert Policy(revoke_on_refund=False, revoke_on_cancel=False) == MILD


def test_every_event_is_in_one_of_these_tables() -> None:
    assert set(RULES) == set(ALWAYS) | set(CHOSEN) == set(EventKind)


def test_a_choice_names_its_setting() -> None:
    assert {kind: rule.setting for kind, rule in RULES.items() if rule.setting} == {
        EventKind.REFUNDED: "revoke_on_refund",
        EventKind.REVERSED: "revoke_on_refund",
        EventKind.CANCELED: "revoke_on_cancel",
    }


def test_the_page_shows_the_table_as_it_is() -> None:
    [shown] = re.findall(r"<!-- rules: begin -->\n(.*?)<!-- rules: end -->", PAGE.read_text("utf-8"), flags=re.S)

    assert shown == as_markdown()
