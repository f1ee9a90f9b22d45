"""Signed orders of the size that 2Checkout sends: each one an order, a subscription and a buyer of its own."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from qlmhook_avangate import simulation

SECRET = "benchmark-secret-key"
ALGORITHMS = ("sha3-256", "sha256")
PRODUCT = "37179430"
MAPPING = (
    "&is_productid=1&is_majorversion=1&is_minorversion=0&is_productname=Benchmark"
    "&is_emailtemplate=Customer.NewOrder&is_licensemodel=subscription"
)

FILLED: simulation.Fields = [
    ("FRAUD_STATUS", "APPROVED"),
    ("PAYMENTDATE", "2026-01-01 12:00:00"),
    ("COMPLETE_DATE", "2026-01-01 12:00:02"),
    ("PAYMETHOD", "Visa/MasterCard"),
    ("PAYMETHOD_CODE", "CCVISAMC"),
    ("ADDRESS1", "55 White Cowley Court"),
    ("CITY", "Brașov"),
    ("ZIPCODE", "29636"),
    ("COUNTRY_CODE", "ro"),
    ("PHONE", "+40 268 000 000"),
    ("FIRSTNAME_D", "John"),
    ("LASTNAME_D", "Doe"),
    ("ADDRESS1_D", "55 White Cowley Court"),
    ("CITY_D", "Brașov"),
    ("ZIPCODE_D", "29636"),
    ("COUNTRY_D", "Romania"),
    ("COUNTRY_D_CODE", "ro"),
    ("EMAIL_D", "john.doe@example.com"),
    ("IPADDRESS", "192.0.2.1"),
    ("IPCOUNTRY", "Romania"),
    ("LANGUAGE", "en"),
    ("ORDERFLOW", "REGULAR"),
    ("IPN_EXTERNAL_REFERENCE[]", "20260101120000"),
    ("IPN_PRICE[]", "29.00"),
    ("IPN_VAT[]", "0.00"),
    ("IPN_VAT_RATE[]", "0.0000"),
    ("IPN_VER[]", "1"),
    ("IPN_DISCOUNT[]", "0.00"),
    ("IPN_ORDER_COSTS[]", "0"),
    ("IPN_PGROUP[]", "0"),
    ("IPN_LICENSE_START[]", "2026-01-01 12:00:00"),
    ("IPN_TOTAL[]", "29.00"),
    ("IPN_SHIPPING", "0.00"),
    ("IPN_SHIPPING_TAX", "0.00"),
    ("IPN_COMMISSION", "1.6766"),
    ("IPN_ORDER_ORIGIN", "Web"),
    ("AVANGATE_CUSTOMER_REFERENCE", "938845083"),
    ("EXTERNAL_CUSTOMER_REFERENCE", "9ddc7cb4-1d1e-4044-8698-81d0181f624c"),
    ("MESSAGE_TYPE", "COMPLETE"),
    ("MESSAGE_ID", "251610655414"),
    ("CHARGEBACK_RESOLUTION", "NONE"),
    ("CARD_TYPE", "visa"),
    ("CARD_LAST_DIGITS", "1111"),
    ("CARD_EXPIRATION_DATE", "11/29"),
    ("GATEWAY_RESPONSE", "Approved"),
    ("FX_RATE", "1"),
    ("FX_MARKUP", "0"),
    ("PAYABLE_AMOUNT", "27.32"),
    ("PAYOUT_CURRENCY", "USD"),
]

EMPTY = [
    "SHOPPER_REFERENCE_NUMBER",
    "REGISTRATIONNUMBER",
    "FISCALCODE",
    "TAX_OFFICE",
    "CBANKNAME",
    "CBANKACCOUNT",
    "ADDRESS2",
    "STATE",
    "FAX",
    "COMPANY_D",
    "ADDRESS2_D",
    "STATE_D",
    "PHONE_D",
    "IPN_PCODE[]",
    "IPN_INFO[]",
    "IPN_PROMOTION_CATEGORY[]",
    "IPN_PROMONAME[]",
    "IPN_PROMOCODE[]",
    "IPN_SKU[]",
    "IPN_PARTNER_CODE",
    "IPN_PGROUP_NAME[]",
    "IPN_LICENSE_ADDITIONAL_INFO[]",
    "IPN_DELIVEREDCODES[]",
    "IPN_DOWNLOAD_LINK",
    "IPN_PARTNER_MARGIN",
    "IPN_PARTNER_MARGIN_PERCENT",
    "IPN_EXTRA_MARGIN",
    "IPN_EXTRA_DISCOUNT",
    "IPN_COUPON_DISCOUNT",
    "IPN_LINK_SOURCE",
    "REFUND_TYPE",
    "CHARGEBACK_REASON_CODE",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedOrder:
    """An order's number and the body that is posted for it."""

    number: int
    body: bytes


def email(number: int) -> str:
    """Return the address of an order's buyer."""
    return f"john.doe.{number}@example.com"


def order_ref(number: int) -> str:
    """Return the REFNO of an order."""
    return str(100_000_000 + number)


def fields(number: int, first_at: datetime) -> simulation.Fields:
    """Return an order's unsigned fields.

    The orders lie a second apart, each before the one with the smaller number: IPN_DATE, which the receipt
    signs, is then different in each, and a receipt is valid for no other order.
    """
    line = simulation.Line(
        product_id=PRODUCT,
        name="Benchmark™, one year",
        subscription_ref=f"SUB{number:09d}",
        expires="2099-12-31 12:00:00",
    )
    order = simulation.Order(
        order_ref=order_ref(number),
        lines=[line],
        email=email(number),
        now=first_at - timedelta(seconds=number),
        extra=[*FILLED, *((name, "") for name in EMPTY)],
    )
    return simulation.ipn_fields(order)


def signed(number: int, first_at: datetime) -> SignedOrder:
    """Return an order as it is posted."""
    return SignedOrder(number=number, body=simulation.signed_body(fields(number, first_at), SECRET, ALGORITHMS))


def receipt_problem(answer: str, number: int, first_at: datetime) -> str:
    """Return why 2Checkout would not take an answer for this order's receipt, or nothing when it would."""
    return simulation.receipt_problem(answer, fields(number, first_at), SECRET, ALGORITHMS)
