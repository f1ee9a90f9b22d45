"""2Checkout's License Change Notification: how a subscription stands.

A subscription is identified by LICENSE_CODE, the IPN's IPN_LICENSE_REF. DATE_UPDATED orders its messages: the
newest says how things stand. DISPATCH_REASON looks as if it told what happened, but its spellings differ from
page to page, so it decides nothing here.
"""

import re
from collections.abc import Mapping
from datetime import datetime, time, tzinfo
from typing import Any

from marshmallow import fields, validate

from qlmhook.vendors import Event, EventKind, Form, Item, Message, Standing, to_utc
from qlmhook_avangate.form import FormSchema, WallTime, customer_of, is_forever

# Source: 2Checkout, "LCN parameters"; spellings differ, so blanks and underscores do not count. The set is
# open, and what is not listed takes nothing away.
STOPPED = frozenset({"DISABLED", "CANCELED", "CANCELLED"})
PAUSED = frozenset({"PAUSED"})
EXPIRED = frozenset({"EXPIRED"})
PAST_DUE = frozenset({"PASTDUE"})

_FLAG = validate.OneOf(["", "0", "1"])

CUSTOMER_PARTS = ("email", "first_name", "last_name", "company", "phone", "fax", "city", "state", "zip", "country")
CUSTOMER_FIELDS = {**{part: part.upper() for part in CUSTOMER_PARTS}, "address1": "ADDRESS"}
OTHER_SPELLINGS = {"first_name": "FIRSTNAME", "last_name": "LASTNAME"}


class LcnSchema(FormSchema):
    """The fields of an LCN, and their shapes."""

    settings_page = "LCN settings"

    LICENSE_CODE = fields.String(required=True, validate=validate.Regexp(r"[0-9A-Za-z_-]{1,50}\Z"))
    EXPIRATION_DATE = WallTime()
    EXPIRATION_DATE_TIME = WallTime()
    DATE_UPDATED = WallTime()
    LICENSE_PRODUCT = fields.String(load_default="", validate=validate.Regexp(r"[0-9]{0,20}\Z"))
    LICENSE_LIFETIME = fields.String(load_default="0", validate=validate.Regexp(r"(?i:|0|1|no|yes)\Z"))
    STATUS = fields.String(load_default="", validate=validate.Regexp(r"[ -~]{0,40}\Z"))
    DISABLED = fields.String(load_default="0", validate=_FLAG)
    EXPIRED = fields.String(load_default="0", validate=_FLAG)
    TEST = fields.String(load_default="0", validate=_FLAG)
    LICENSE_GRACE_PERIOD = fields.String(load_default="0", validate=validate.Regexp(r"[0-9]{0,4}\Z"))
    PAUSE_START_DATE = WallTime(day_means=time.min)
    PAUSE_END_DATE = WallTime()
    ORIGINAL_ORDER_REFERENCE = fields.String(load_default="", validate=validate.Regexp(r"[0-9]{0,20}\Z"))


_SCHEMA = LcnSchema()


def receipt_values(form: Form) -> tuple[str, str]:
    """Return what an LCN's receipt signs: LICENSE_CODE and EXPIRATION_DATE, byte for byte; absent is empty."""
    return form.scalars["LICENSE_CODE"], form.scalars.get("EXPIRATION_DATE", "")


def parse(form: Form, zone: tzinfo, received_at: datetime) -> Message:
    """Translate a verified LCN.

    `zone` is the account's, for messages without TIMEZONE_OFFSET; `received_at` stands for a DATE_UPDATED that
    the merchant does not send. Raises MalformedNotification.
    """
    data = _SCHEMA.read(form)
    zone = data["TIMEZONE_OFFSET"] or zone
    updated_at = to_utc(data["DATE_UPDATED"], zone) or received_at
    status = data["STATUS"].upper()
    event = Event(
        kind=EventKind.SUBSCRIPTION,
        order_ref="",
        at=updated_at,
        placed_at=updated_at,
        test=data["TEST"] == "1",
        customer=customer_of(form, CUSTOMER_FIELDS, OTHER_SPELLINGS),
        items=(_item(data, zone),),
        standing=_standing(data, status, zone),
    )
    return Message(
        kind="lcn",
        order_ref=data["ORIGINAL_ORDER_REFERENCE"],
        order_status=status,
        subscription_ref=data["LICENSE_CODE"],
        events=(event,),
    )


def _item(data: Mapping[str, Any], zone: tzinfo) -> Item:
    end = data["EXPIRATION_DATE_TIME"] or data["EXPIRATION_DATE"]
    lifetime = data["LICENSE_LIFETIME"].upper() in ("1", "YES") or is_forever(end)
    return Item(
        line=data["LICENSE_CODE"],
        product_id=data["LICENSE_PRODUCT"],
        subscription_ref=data["LICENSE_CODE"],
        expires_at=None if lifetime else to_utc(end, zone),
        lifetime=lifetime,
    )


def _standing(data: Mapping[str, Any], status: str, zone: tzinfo) -> Standing:
    word = re.sub("[ _-]", "", status)
    grace_days = int(data["LICENSE_GRACE_PERIOD"] or 0) if word in PAST_DUE else 0
    begin, end = to_utc(data["PAUSE_START_DATE"], zone), to_utc(data["PAUSE_END_DATE"], zone)
    return Standing(
        stopped=data["DISABLED"] == "1" or word in STOPPED,
        # a pause whose end lies before its beginning is none
        paused=word in PAUSED and not (begin and end and end < begin),
        paused_from=begin,
        paused_until=end,
        expired=word in EXPIRED or (data["EXPIRED"] == "1" and not grace_days),
        grace_days=grace_days,
    )
