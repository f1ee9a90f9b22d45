"""QLM's mail variables, filled from a license."""

from datetime import datetime, tzinfo

from qlmhook.channels.mail.rendering import Variables
from qlmhook.licensing import key_format
from qlmhook.storage import models


def of_license(license: models.License, order_ref: str, zone: tzinfo) -> Variables:
    """Return QLM's variables for a license, days as they are in `zone`.

    Source: QLM, "Which variables are available in an email template".
    """
    customer = license.customer
    values = {
        "ActivationKey": key_format.grouped(license.key),
        "ProductName": license.product_name,
        "MajorVersion": str(license.major_version),
        "MinorVersion": str(license.minor_version),
        "OrderID": order_ref,
        "OrderDate": _day(license.ordered_at, zone),
        "MaintenanceRenewalDate": _day(license.maintenance_until, zone),
        "NumLicenses": str(license.activations),
        "AvailableLicenses": str(license.activations),
        "Disabled": str(license.revoked_at is not None),
        "UserData1": license.user_data,
        "ReceiptID": license.subscription_ref,
        "SubscriptionID": license.subscription_ref,
        "SubscriptionExpiryDate": _day(license.expires_at, zone) or "unlimited",
        "FloatingSeats": str(license.floating_seats),
        "LicenseModel": license.license_model,
        "EnabledFeatures": license.features,
        "ComputerType": str(license.computer_type),
        "LegacyKey": license.legacy_key,
        "AffiliateName": license.affiliate,
        "Quantity": str(license.quantity),
        "Properties": license.product_properties,
    }
    values.update({name: getattr(customer, column) if customer else "" for name, column in _CONTACT.items()})
    values.update(dict.fromkeys(_NEVER_FILLED, ""))
    return values


_CONTACT = {
    "FullName": "full_name",
    "Email": "email",
    "Company": "company",
    "OrganizationName": "company",
    "Phone": "phone",
    "Fax": "fax",
    "Address1": "address1",
    "Address2": "address2",
    "City": "city",
    "State": "state",
    "Zip": "zip",
    "Country": "country",
}
"""Variables about the customer, and the column that fills each."""

_NEVER_FILLED = (
    "ComputerKey",
    "ComputerID",
    "Comment",
    "GenericLicense",
    "SubscriptionDuration",
    "FloatingLicenseLocation",
    "BundleID",
    "OrganizationNotes",
    "Mobile",
    "Notes",
    "AuthorizationCode",
)
"""QLM variables for what qlmhook does not keep: they become nothing, so that QLM's templates can be used."""


def _day(date: datetime | None, zone: tzinfo) -> str:
    return f"{date.astimezone(zone):%Y-%m-%d}" if date else ""
