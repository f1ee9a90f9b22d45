"""What the facts of one subject add up to."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from qlmhook.domain import entitlement
from qlmhook.domain.events import Customer, EventKind, Standing
from qlmhook.domain.facts import Fact
from qlmhook.domain.holds import Hold
from qlmhook.domain.purchases import Circumstances
from qlmhook.domain.restrictions import Bar
from qlmhook.domain.rules import Policy
from qlmhook.domain.terms import Terms
from tests.support.made import (
    ANN,
    KEYS,
    LINE,
    MONTH,
    TERMS,
    circumstances,
    day,
    derived,
    end_of,
    held,
    issued,
    line,
    paid,
    refund,
    subscription,
    told,
)

BOB = Customer(email="bob@example.com")
CLOSED = told(EventKind.PAID, line(), dismissed=True)
STOPPED, PAUSED = Standing(stopped=True), Standing(paused=True)
ORDERS = issued("1", "2", "3")


def judged(terms: Terms) -> Circumstances:
    """One product, whose orders took effect already."""
    return circumstances(terms, fulfilled=ORDERS)


def end(facts: Sequence[Fact], judged_by: Circumstances | None = None, unit: int = 1) -> datetime | None:
    """When the license of a unit ends."""
    return derived(facts, judged_by).grants[unit - 1].expires_at


class TestKeys:
    """How many keys there are, and what each may be used for."""

    def test_one_key_with_the_activations_of_all_units_and_the_additional_ones(self) -> None:
        terms = replace(TERMS, activations_per_unit=2, additional_activations=5)

        [grant] = derived([paid(line(quantity=3))], judged(terms)).grants

        assert (grant.unit, grant.activations) == (1, 11)

    def test_a_key_for_each_unit_with_its_own_activations(self) -> None:
        terms = replace(KEYS, activations_per_unit=2, additional_activations=5)

        grants = derived([paid(line(quantity=3))], judged(terms)).grants

        assert [(grant.unit, grant.activations) for grant in grants] == [(1, 2), (2, 2), (3, 2)]

    @pytest.mark.parametrize(
        ("model", "per_unit", "one_key", "seats"),
        [
            ("permanent", 0, True, 0),
            ("permanent", 2, True, 6),
            ("subscription_floating", 0, True, 3),
            ("subscription_floating", 2, True, 6),
            ("permanent_cloud", 0, True, 3),
            ("floating_permanent", 0, True, 0),
            ("permanent_floating", 0, False, 1),
            ("permanent_floating", 2, False, 2),
        ],
    )
    def test_a_floating_license_has_at_least_one_seat_for_each_unit(
        self, model: str, per_unit: int, one_key: bool, seats: int
    ) -> None:
        terms = replace(TERMS, license_model=model, seats_per_unit=per_unit, one_key=one_key, duration_days=5)

        assert derived([paid(line(quantity=3))], judged(terms)).grants[0].floating_seats == seats

    @pytest.mark.parametrize(
        ("item", "model", "expected"),
        [
            (line(), "", "permanent"),
            (line(ends=5), "", "subscription"),
            (line(ends=5), "trial", "trial"),
            (line(), "permanent_floating", "permanent_floating"),
        ],
    )
    def test_what_is_not_said_to_be_a_model_follows_from_the_end(self, item: object, model: str, expected: str) -> None:
        facts = [told(EventKind.PAID, item)]  # type: ignore[arg-type]

        assert derived(facts, judged(replace(TERMS, license_model=model))).grants[0].license_model == expected

    def test_a_renewal_of_fewer_units_renews_the_first_keys_alone(self) -> None:
        found = derived(
            [paid(line(quantity=3, ends=10)), paid(line(quantity=1, ends=20), order="2", on=9)], judged(KEYS)
        )

        assert [(grant.expires_at, grant.renewal, grant.purchase.order_ref) for grant in found.grants] == [
            (day(20), True, "2"),
            (day(10), False, "1"),
            (day(10), False, "1"),
        ]

    def test_a_key_that_a_renewal_adds_is_new(self) -> None:
        found = derived([paid(line(quantity=1)), paid(line(quantity=2), order="2", on=9)], judged(KEYS))

        assert [grant.renewal for grant in found.grants] == [True, False]

    @pytest.mark.parametrize("quantity", [2, 5])
    def test_a_renewal_says_how_many_activations_one_key_has(self, quantity: int) -> None:
        """More or fewer."""
        terms = replace(TERMS, activations_per_unit=2)
        facts = [paid(line(quantity=3)), paid(line(quantity=quantity), order="2", on=9)]

        assert [grant.activations for grant in derived(facts, judged(terms)).grants] == [2 * quantity]

    def test_the_terms_of_a_key_are_those_of_its_product(self) -> None:
        def by_order(place: tuple[str, str], item: object) -> Terms:
            return replace(TERMS, product_name=place[0])

        [grant] = derived([paid(), paid(order="2", on=9)], circumstances(by_order, fulfilled=ORDERS)).grants

        assert (grant.terms.product_name, grant.purchase.terms.product_name) == ("1", "2")


class TestEnds:
    """Each purchase extends a license, none shortens it."""

    @pytest.mark.parametrize("ends", [(10, 20), (20, 10)])
    def test_the_longest_purchase_counts(self, ends: tuple[int, int]) -> None:
        facts = [paid(line(ends=end), order=str(number), on=number) for number, end in enumerate(ends, start=1)]

        assert end(facts) == day(20)

    def test_the_vendors_date_counts_before_the_mappings(self) -> None:
        terms = replace(MONTH, end_date=day(40).date())

        assert end([paid(line(ends=90))], judged(terms)) == day(90)
        assert end([paid(line(ends=5))], judged(terms)) == day(5)

    def test_without_any_date_it_never_ends(self) -> None:
        assert end([paid()]) is None
        assert end([paid(line(lifetime=True))]) is None

    def test_days_count_from_the_purchase_and_a_renewals_from_the_end_before(self) -> None:
        first, renewal = paid(), paid(order="2", on=20)

        assert end([first], judged(MONTH)) == end_of(30)
        assert end([first, renewal], judged(MONTH)) == end_of(60)

    def test_a_renewal_after_the_end_counts_from_its_own_day(self) -> None:
        assert end([paid(), paid(order="2", on=50)], judged(MONTH)) == end_of(80)

    def test_what_never_ends_is_not_shortened_by_days(self) -> None:
        assert end([paid(line(lifetime=True)), paid(order="2", on=9)], judged(MONTH)) is None

    @pytest.mark.parametrize(
        ("model", "expected"),
        [("", day(10)), ("subscription", day(10)), ("permanent", None), ("permanent_floating", None)],
    )
    def test_a_renewal_whose_date_is_still_to_come_keeps_the_end(self, model: str, expected: datetime | None) -> None:
        """Unless the license is permanent, which needs none."""
        terms = replace(TERMS, license_model=model)
        facts = [paid(line(ends=10)), paid(order="2", on=9), subscription(on=1, ends=10)]

        assert end(facts, judged(terms)) == expected

    def test_days_end_where_the_shop_is(self) -> None:
        terms = replace(MONTH, maintenance=True, maintenance_days=10)
        berlin = ZoneInfo("Europe/Berlin")

        [grant] = derived([paid()], circumstances(terms, zone=berlin)).grants

        assert grant.expires_at == datetime(2026, 1, 31, 22, 59, 59, tzinfo=UTC)
        assert grant.maintenance_until == datetime(2026, 1, 11, 22, 59, 59, tzinfo=UTC)

    def test_what_was_bought_first_is_not_what_arrived_first(self) -> None:
        facts = [paid(order="2", on=20), paid(order="1", on=0)]

        found = derived(facts, judged(MONTH))

        assert (found.first.order_ref, found.last.order_ref, found.grants[0].expires_at) == ("1", "2", end_of(60))


class TestExtensions:
    """Days are added to what an operator granted before."""

    @pytest.mark.parametrize(
        ("decided", "expected"),
        [(8, end_of(130)), (9, end_of(130)), (9.5, end_of(60))],
        ids=["before", "at once", "after"],
    )
    def test_a_renewal_counts_from_an_extension_that_was_there(self, decided: float, expected: datetime) -> None:
        judged_by = circumstances(MONTH, extensions={1: [(day(decided), day(100))]})

        assert end([paid(), paid(order="2", on=9)], judged_by) == expected

    def test_the_longest_extension_counts_and_none_shortens(self) -> None:
        extensions = [(day(1), day(50)), (day(2), day(40)), (day(3), day(3))]

        assert end([paid(), paid(order="2", on=9)], circumstances(MONTH, extensions={1: extensions})) == end_of(80)
        assert end([paid(), paid(order="2", on=9)], circumstances(MONTH, extensions={1: extensions[2:]})) == end_of(60)

    def test_an_extension_is_of_one_key(self) -> None:
        judged_by = circumstances(replace(MONTH, one_key=False), extensions={2: [(day(1), day(100))]})
        facts = [paid(line(quantity=2)), paid(line(quantity=2), order="2", on=9)]

        assert [end(facts, judged_by, unit) for unit in (1, 2)] == [end_of(60), end_of(130)]

    def test_the_first_purchase_counts_from_its_own_day(self) -> None:
        assert end([paid()], circumstances(MONTH, extensions={1: [(day(-1), day(100))]})) == end_of(30)

    def test_a_renewal_whose_date_is_still_to_come_keeps_it(self) -> None:
        judged_by = circumstances(extensions={1: [(day(1), day(100))]})

        assert end([paid(line(ends=10)), paid(order="2", on=9)], judged_by) == day(100)

    def test_what_is_left_after_a_refund_counts_from_an_extension_too(self) -> None:
        judged_by = circumstances(MONTH, fulfilled=ORDERS, extensions={1: [(day(1), day(100))]})
        renewed = [paid(), paid(order="2", on=9), paid(order="3", on=10), subscription(on=11, ends=200)]

        assert end([*renewed, refund(order="3", on=12)], judged_by) == end_of(130)


class TestSubscriptions:
    """What the vendor says of a subscription stands for what was paid before it was said."""

    @pytest.mark.parametrize(("on", "expected"), [(4, day(7)), (5, day(7)), (6, day(100))])
    def test_a_purchase_that_was_paid_later_counts_beside_its_end(self, on: int, expected: datetime) -> None:
        """One of the same second was known."""
        facts = [paid(line(ends=30)), subscription(on=5, ends=7), paid(line(ends=100), order="2", on=on)]

        assert end(facts) == expected

    @pytest.mark.parametrize(("on", "stands"), [(4, True), (5, True), (6, False)])
    def test_a_purchase_that_was_paid_later_has_overtaken_its_standing(self, on: int, stands: bool) -> None:
        said = Standing(stopped=True, expired=True, grace_days=3)
        found = derived([paid(), subscription(on=5, standing=said), paid(order="2", on=on)])

        assert ([bar.why for bar in found.suspended], found.ended_at, found.grace_days) == (
            (["The subscription is stopped."], day(5), 3) if stands else ([], None, 0)
        )

    def test_any_purchase_that_counts_may_overtake_it(self) -> None:
        """Here the older order was paid later, by a transfer."""
        facts = [paid(on=1, paid=8), subscription(on=5, standing=STOPPED), paid(order="2", on=2)]

        assert derived(facts).suspended == ()

    def test_a_purchase_that_was_taken_back_overtakes_nothing(self) -> None:
        facts = [paid(), subscription(on=5, standing=STOPPED), paid(order="2", on=6), refund(order="2", on=7)]

        assert [bar.why for bar in derived(facts).suspended] == ["The subscription is stopped."]

    def test_where_none_counts_any_more_all_are_looked_at(self) -> None:
        facts = [paid(on=6), subscription(on=5, standing=STOPPED), refund(on=7)]

        assert derived(facts).suspended == ()

    def test_the_newest_message_counts(self) -> None:
        facts = [paid(), subscription(on=3, ends=50), subscription(on=2, ends=9, standing=STOPPED)]

        assert (end(facts), derived(facts).suspended) == (day(50), ())

    def test_a_message_without_an_end_leaves_that_of_the_purchase(self) -> None:
        assert end([paid(line(ends=30)), subscription()]) == day(30)

    def test_a_subscription_for_a_lifetime_never_ends(self) -> None:
        assert end([paid(line(ends=30)), subscription(lifetime=True)]) is None

    def test_a_paused_license_with_an_open_dispute_has_two_bars(self) -> None:
        facts = [paid(), told(EventKind.CHARGEBACK_OPENED, line(), on=2), subscription(on=5, standing=PAUSED)]

        assert [bar.why for bar in derived(facts).suspended] == [
            "The chargeback of order 1 is open.",
            "The subscription is paused.",
        ]

    @pytest.mark.parametrize(
        "later", [subscription(on=9), paid(order="2", on=9)], ids=["by another word", "by a late payment"]
    )
    def test_what_is_over_for_good_is_not_revived(self, later: Fact) -> None:
        found = derived([paid(line(ends=300)), subscription(on=5, standing=Standing(final=True)), later])

        assert (found.final, found.ended_at) == (True, day(5))

    def test_what_has_expired_is_not_over_for_good(self) -> None:
        assert not derived([paid(), subscription(standing=Standing(expired=True))]).final

    def test_an_order_without_a_subscription_has_no_standing(self) -> None:
        found = derived([paid()])

        assert (found.suspended, found.ended_at, found.grace_days) == ((), None, 0)


class TestTakenBack:
    def test_a_license_is_revoked_when_no_purchase_is_left(self) -> None:
        fact = refund()
        [grant] = derived([paid(line(ends=30)), fact]).grants

        assert grant.revoked == (Bar(why="Order 1 is refunded.", learned_at=day(9)),)
        assert grant.expires_at == day(30)

    def test_with_another_purchase_left_it_keeps_that_ones_end(self) -> None:
        found = derived([paid(line(ends=30)), paid(line(ends=60), order="2", on=2), refund(order="2")])

        assert [(grant.expires_at, grant.revoked, grant.renewal) for grant in found.grants] == [(day(30), (), False)]
        assert [purchase.order_ref for purchase in found.every] == ["1", "2"]
        assert [purchase.order_ref for purchase in found.purchases] == ["1"]
        assert (found.first.order_ref, found.last.order_ref) == ("1", "1")

    def test_the_oldest_purchase_that_counts_began_it_whether_or_not_an_older_one_took_effect(self) -> None:
        found = derived([paid(), paid(order="2", on=2), refund(order="1")])

        assert (found.first.order_ref, found.last.order_ref) == ("2", "2")
        assert [(grant.purchase.order_ref, grant.renewal) for grant in found.grants] == [("2", True)]

    def test_without_any_left_all_are_the_purchases(self) -> None:
        found = derived([paid(), paid(order="2", on=2), refund(order="1"), refund(order="2", on=8)])

        assert (found.first.order_ref, found.last.order_ref) == ("1", "2")
        assert [bar.why for bar in found.grants[0].revoked] == ["Order 2 is refunded."]

    @pytest.mark.parametrize("taken", [(3,), (2, 3), (7,)])
    def test_as_many_units_as_were_bought_are_all(self, taken: Sequence[int]) -> None:
        back = [refund(line(undone=units), on=9 + units) for units in taken]

        assert [bool(grant.revoked) for grant in derived([paid(line(quantity=3)), *back]).grants] == [True]

    def test_some_units_of_several_keys_take_the_last_keys(self) -> None:
        grants = derived([paid(line(quantity=3)), refund(line(undone=2))], judged(KEYS)).grants

        assert [[bar.why for bar in grant.revoked] for grant in grants] == [
            [],
            ["Order 1 is refunded."],
            ["Order 1 is refunded."],
        ]

    def test_some_units_of_one_key_take_their_activations(self) -> None:
        [grant] = derived([paid(line(quantity=3)), refund(line(undone=2))]).grants

        assert (grant.activations, grant.revoked) == (1, ())

    def test_the_end_of_a_revoked_license_is_that_of_all_its_purchases(self) -> None:
        facts = [paid(line(ends=30)), paid(line(ends=20), order="2", on=2), refund(order="1"), refund(order="2")]

        assert end(facts) == day(30)

    def test_what_was_undone_before_it_took_effect_entitles_to_nothing(self) -> None:
        assert entitlement.derive([paid(), refund()], circumstances()) == (None, [])


class TestMaintenance:
    PLAN = replace(TERMS, maintenance=True, maintenance_days=10)

    def until(self, facts: Sequence[Fact], terms: Terms = PLAN) -> datetime | None:
        return derived(facts, judged(terms)).grants[0].maintenance_until

    def test_without_a_plan_there_is_none(self) -> None:
        assert self.until([paid()], TERMS) is None

    def test_it_begins_with_the_purchase(self) -> None:
        assert self.until([paid(line(ends=50))]) == end_of(10)

    def test_a_renewal_lasts_as_long_as_the_license(self) -> None:
        assert self.until([paid(line(ends=20)), paid(line(ends=50), order="2", on=9)]) == day(50)

    def test_a_renewal_lasts_for_its_own_period_at_least(self) -> None:
        assert self.until([paid(line(ends=12)), paid(line(ends=12), order="2", on=9)]) == end_of(19)
        assert self.until([paid(), paid(order="2", on=9)]) == end_of(19)

    def test_a_renewal_does_not_shorten_it(self) -> None:
        dated = replace(self.PLAN, maintenance_date=day(90).date())

        def by_order(place: tuple[str, str], item: object) -> Terms:
            return dated if place[0] == "1" else self.PLAN

        facts = [paid(), paid(order="2", on=9)]

        [grant] = derived(facts, circumstances(by_order, fulfilled=ORDERS)).grants

        assert grant.maintenance_until == end_of(90)

    def test_a_renewal_without_a_plan_leaves_it(self) -> None:
        def by_order(place: tuple[str, str], item: object) -> Terms:
            return self.PLAN if place[0] == "1" else TERMS

        facts = [paid(line(ends=20)), paid(line(ends=50), order="2", on=9)]

        [grant] = derived(facts, circumstances(by_order, fulfilled=ORDERS)).grants

        assert grant.maintenance_until == end_of(10)

    def test_it_follows_the_end_that_the_vendor_told(self) -> None:
        facts = [paid(line(ends=20)), paid(line(ends=50), order="2", on=2), subscription(on=5, ends=70)]

        assert self.until(facts) == day(70)

    def test_each_purchase_is_looked_at_with_the_end_that_it_made(self) -> None:
        """Not with that of the ones after it."""
        facts = [paid(line(ends=20)), paid(line(ends=36_500), order="2", on=9), paid(order="3", on=10)]

        assert self.until(facts) == day(36_500)


class TestHeld:
    """What waits for a message or a person."""

    REVIEW = told(EventKind.UNDER_REVIEW, line(), reason="It is under review.")

    def test_what_is_under_review_waits_for_its_approval(self) -> None:
        assert held([self.REVIEW]) == [
            ("It is under review. It is fulfilled as soon as the approval arrives.", "order 1", "1", True)
        ]

    def test_an_order_that_is_paid_or_taken_back_waits_no_more(self) -> None:
        canceled = told(EventKind.CANCELED, line(), on=2)

        assert held([self.REVIEW, paid()]) == []
        assert held([self.REVIEW, canceled]) == []
        assert held([self.REVIEW, canceled], circumstances(policy=Policy())) == []

    def test_each_order_waits_for_its_own_approval(self) -> None:
        other = told(EventKind.UNDER_REVIEW, line(), order="2", reason="It is under review.")

        assert [hold[2] for hold in held([self.REVIEW, other, paid()])] == ["2"]

    def test_a_renewal_under_review_leaves_the_license(self) -> None:
        review = told(EventKind.UNDER_REVIEW, line(ends=60), order="2", reason="Wait.", on=2)

        found, holds = entitlement.derive([paid(line(ends=30)), review], circumstances())

        assert found is not None
        assert (found.grants[0].expires_at, len(holds)) == (day(30), 1)

    def test_a_subscription_waits_for_its_first_order(self) -> None:
        """It comes by itself: nobody is alerted."""
        reason = "No paid order of subscription S is known yet; this is applied when one arrives."

        _, [hold] = entitlement.derive([subscription()], circumstances())

        assert hold == Hold(reason=reason, cause="subscription S", subscription_ref="S", alert=False)

    def test_a_group_waits_for_its_first_order(self) -> None:
        of_group = told(EventKind.SUBSCRIPTION, line("G", group="G"), order="")

        assert [hold[1] for hold in held([of_group])] == ["subscription G"]

    def test_a_subscription_whose_order_is_known_waits_for_nothing_else(self) -> None:
        assert held([subscription(), paid()]) == []
        assert held([subscription(), refund()]) == []
        assert [hold[1] for hold in held([subscription(), self.REVIEW])] == ["order 1"]
        assert held([told(EventKind.SUBSCRIPTION)]) == []

    @pytest.mark.parametrize("model", ["subscription", "trial_floating"])
    def test_a_subscription_or_trial_is_never_issued_without_an_end(self, model: str) -> None:
        reason = (
            f"Product 101 is licensed as {model}, but neither the notification nor its mapping says when it ends. "
            "Make the shop send the date, or add is_expduration to the mapping."
        )
        judged_by = circumstances(replace(TERMS, license_model=model))

        assert entitlement.derive([paid()], judged_by)[0] is None
        assert held([paid()], judged_by) == [(reason, "product 101", "1", True)]

    @pytest.mark.parametrize(
        ("terms", "facts"),
        [
            ({"license_model": "subscription"}, [paid(line(ends=30))]),
            ({"license_model": "subscription", "duration_days": 30}, [paid()]),
            ({"license_model": "subscription"}, [paid(), subscription(ends=30)]),
            ({"license_model": "permanent"}, [paid()]),
            ({}, [paid()]),
        ],
    )
    def test_an_end_may_come_from_the_order_the_mapping_or_the_subscription(
        self, terms: dict[str, str], facts: Sequence[Fact]
    ) -> None:
        assert held(facts, circumstances(Terms(product_id=1, major_version=1, minor_version=0, **terms))) == []  # type: ignore[arg-type]

    def test_a_purchase_that_is_held_does_not_count_and_the_others_do(self) -> None:
        judged_by = circumstances({"101": replace(TERMS, license_model="subscription"), "102": TERMS})

        found, holds = entitlement.derive([paid(), paid(line(product="102"), order="2", on=1)], judged_by)

        assert found is not None
        assert [purchase.order_ref for purchase in found.every] == ["2"]
        assert [hold.order_ref for hold in holds] == ["1"]

    def test_what_waits_is_told_beside_what_is_held(self) -> None:
        facts = [self.REVIEW, paid(line(quantity=20_000), order="2")]

        found, holds = entitlement.derive(facts, circumstances())

        assert (found, [hold.order_ref for hold in holds]) == (None, ["1", "2"])

        found, holds = entitlement.derive([*facts, paid(order="3")], circumstances())

        assert (found is not None, [hold.order_ref for hold in holds]) == (True, ["1", "2"])


class TestDismissed:
    """What an operator closed without applying it does not take effect later."""

    @pytest.mark.parametrize("kind", [EventKind.PAID, EventKind.UNDER_REVIEW, EventKind.SUBSCRIPTION])
    def test_it_entitles_to_nothing(self, kind: EventKind) -> None:
        fact = told(kind, line(), reason="Wait.", dismissed=True)

        assert entitlement.derive([fact], circumstances()) == (None, [])

    def test_a_payment_that_is_told_again_stays_dismissed(self) -> None:
        assert entitlement.derive([CLOSED, paid(on=1)], circumstances()) == (None, [])

    def test_a_review_may_still_be_approved(self) -> None:
        facts = [told(EventKind.UNDER_REVIEW, line(), dismissed=True), paid(on=1)]

        assert derived(facts, circumstances()).purchases

    def test_another_order_is_not_dismissed_with_it(self) -> None:
        found = derived([CLOSED, paid(order="2", on=1)], circumstances())

        assert [purchase.order_ref for purchase in found.purchases] == ["2"]

    def test_what_took_effect_before_stays(self) -> None:
        assert end([CLOSED, paid(line(ends=30), on=1)], circumstances(fulfilled=issued("1"))) == day(30)

    @pytest.mark.parametrize("place", [("2", LINE), ("1", "102#1")])
    def test_another_line_that_took_effect_is_another_matter(self, place: tuple[str, str]) -> None:
        assert entitlement.derive([CLOSED], circumstances(fulfilled=[place])) == (None, [])

    def test_money_that_went_back_went_back(self) -> None:
        """Also for what was dismissed."""
        for payment in (paid(), CLOSED):
            [grant] = derived([payment, refund(dismissed=True)]).grants

            assert len(grant.revoked) == 1

    def test_a_dispute_of_a_whole_order_is_open_all_the_same(self) -> None:
        facts = [paid(), told(EventKind.CHARGEBACK_OPENED, on=2, dismissed=True)]

        assert len(derived(facts).suspended) == 1

    def test_a_dismissed_message_about_a_subscription_says_nothing(self) -> None:
        facts = [paid(line(ends=30)), subscription(ends=7, standing=STOPPED, dismissed=True)]

        assert (end(facts), derived(facts).suspended) == (day(30), ())


class TestCustomers:
    def test_who_was_named_last(self) -> None:
        assert derived([paid(), subscription(customer=BOB)]).customer == BOB

    @pytest.mark.parametrize("email", ["", "n/a", "nobody"])
    def test_without_an_address_the_last_who_has_one(self, email: str) -> None:
        nobody = Customer(email=email, last_name="Nobody")

        assert derived([paid(), subscription(customer=BOB), subscription(on=6, customer=nobody)]).customer == BOB

    def test_the_last_one_where_none_has_an_address(self) -> None:
        first, last = Customer(last_name="First"), Customer(last_name="Last")
        facts = [told(EventKind.PAID, line(), customer=first), subscription(customer=last)]

        assert derived(facts).customer == last
        assert derived([paid()]).customer == ANN


class TestAwaitedCustomers:
    """Who bought may be said in another message than what was bought."""

    NAMED = told(EventKind.PAID, line(), customer=Customer(), customer_ref="C")
    NOBODY = told(EventKind.SUBSCRIPTION, line("S", ref="S"), order="", customer=Customer(last_name="Nobody"), on=-1)

    @pytest.mark.parametrize(
        "others", [[], [NOBODY], [refund(on=9)]], ids=["nothing else", "a name without an address", "a refund"]
    )
    def test_who_is_named_by_reference_alone_is_waited_for(self, others: Sequence[Fact]) -> None:
        """Without an alert; what was bought is issued."""
        found, holds = entitlement.derive([self.NAMED, *others], circumstances(fulfilled=ORDERS))

        assert found is not None
        assert found.awaited_customer == "C"
        assert [(hold.cause, hold.order_ref, hold.alert) for hold in holds] == [("customer C", "1", False)]
        assert holds[0].reason == "Nothing was told of the customer C yet; the mail goes out when that arrives."

    @pytest.mark.parametrize(
        "described",
        [
            told(EventKind.CUSTOMER, order="", customer_ref="C", customer=Customer(last_name="Nobody")),
            subscription(customer=BOB),
            paid(order="2", on=1),
        ],
        ids=["described, if without an address", "by a subscription", "by another order"],
    )
    def test_who_is_described_is_not(self, described: Fact) -> None:
        assert derived([self.NAMED, described]).awaited_customer == ""

    def test_who_is_named_by_nothing_is_not(self) -> None:
        assert derived([told(EventKind.PAID, line(), customer=Customer())]).awaited_customer == ""


def test_no_facts_entitle_to_nothing() -> None:
    assert entitlement.derive([], circumstances()) == (None, [])
