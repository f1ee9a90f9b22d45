"""2Checkout's License Change Notification: how a subscription stands.

A subscription is identified by LICENSE_CODE, the IPN's IPN_LICENSE_REF. DATE_UPDATED orders its messages: the
newest says how things stand. DISPATCH_REASON looks as if it told what happened, but its spellings differ from
page to page, so it decides nothing here.
"""

import re
from collections.abc import Mapping
from datetime import datetime, time, tzinfo
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from qlmhook.vendors import Event, EventKind, Item, MalformedNotification, Message, Standing
from qlmhook_avangate.form import Form, Offset, WallTime, customer_of, explain, is_forever, to_utc

# Source: 2Checkout, "LCN parameters"; spellings differ, so blanks and underscores do not count. The set is
# open, and what is not listed takes nothing away.
STOPPED = frozenset({"DISABLED", "CANCELED", "CANCELLED"})
PAUSED = frozenset({"PAUSED"})
EXPIRED = frozenset({"EXPIRED"})
PAST_DUE = frozenset({"PASTDUE"})

_SEPARATORS = str.maketrans("", "", " _-")

_LIFETIME = validate.Regexp(r"(|0|1|no|yes)\Z", re.IGNORECASE)
_FLAG = validate.OneOf(["", "0", "1"])


CUSTOMER_FIELDS: Mapping[str, str] = {
    "email": "EMAIL",
    "first_name": "FIRST_NAME",
    "last_name": "LAST_NAME",
    "company": "COMPANY",
    "phone": "PHONE",
    "fax": "FAX",
    "address1": "ADDRESS",
    "city": "CITY",
    "state": "STATE",
    "zip": "ZIP",
    "country": "COUNTRY",
}
OTHER_SPELLINGS: Mapping[str, str] = {"first_name": "FIRSTNAME", "last_name": "LASTNAME"}


class LcnSchema(Schema):
    """The fields that decide something, and their shapes."""

    class Meta:
        unknown = EXCLUDE

    LICENSE_CODE = fields.String(required=True, validate=validate.Regexp(r"[0-9A-Za-z_-]{1,50}\Z"))
    EXPIRATION_DATE = WallTime(load_default=None)
    EXPIRATION_DATE_TIME = WallTime(load_default=None)
    DATE_UPDATED = WallTime(load_default=None)
    TIMEZONE_OFFSET = Offset(load_default=None)
    LICENSE_PRODUCT = fields.String(load_default="", validate=validate.Regexp(r"[0-9]{0,20}\Z"))
    LICENSE_LIFETIME = fields.String(load_default="0", validate=_LIFETIME)
    STATUS = fields.String(load_default="", validate=validate.Regexp(r"[ -~]{0,40}\Z"))
    DISABLED = fields.String(load_default="0", validate=_FLAG)
    EXPIRED = fields.String(load_default="0", validate=_FLAG)
    TEST = fields.String(load_default="0", validate=_FLAG)
    LICENSE_GRACE_PERIOD = fields.String(load_default="0", validate=validate.Regexp(r"[0-9]{0,4}\Z"))
    PAUSE_START_DATE = WallTime(load_default=None, day_means=time.min)
    PAUSE_END_DATE = WallTime(load_default=None)
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
    try:
        data = _SCHEMA.load(form.merged())
    except ValidationError as error:
        raise MalformedNotification(explain(error.messages, settings_page="LCN settings")) from None
    zone = data["TIMEZONE_OFFSET"] or zone
    updated_at = to_utc(data["DATE_UPDATED"], zone) if data["DATE_UPDATED"] else received_at
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
    lifetime = data["LICENSE_LIFETIME"].upper() in ("1", "YES") or (end is not None and is_forever(end))
    return Item(
        line=data["LICENSE_CODE"],
        product_id=data["LICENSE_PRODUCT"],
        subscription_ref=data["LICENSE_CODE"],
        expires_at=None if end is None or lifetime else to_utc(end, zone),
        lifetime=lifetime,
    )


def _standing(data: Mapping[str, Any], status: str, zone: tzinfo) -> Standing:
    word = status.translate(_SEPARATORS)
    grace_days = int(data["LICENSE_GRACE_PERIOD"] or 0) if word in PAST_DUE else 0
    pause_end = data["PAUSE_END_DATE"]
    return Standing(
        stopped=data["DISABLED"] == "1" or word in STOPPED,
        paused=word in PAUSED,
        paused_from=to_utc(data["PAUSE_START_DATE"], zone) if data["PAUSE_START_DATE"] else None,
        paused_until=to_utc(pause_end, zone) if pause_end else None,
        expired=word in EXPIRED or (data["EXPIRED"] == "1" and not grace_days),
        grace_days=grace_days,
    )
