"""Version 1: the columns of the tables that 0.1.0 made, by table.

By these they are known where they have no number: 0.1.0 wrote it after the tables, and may have been killed in between.
"""

from collections.abc import Mapping

_NAMES: Mapping[str, str] = {
    "audit": "id license_id at actor change before after why",
    "customer": (
        "id email_key told_at email full_name first_name last_name company phone fax address1 address2 city "
        "state zip country"
    ),
    "decision": "id license_id at action until why",
    "fact": "id notification_id vendor order_ref line subscription_ref email kind at learned_at data digest",
    "fulfilled_line": "id vendor order_ref line terms at",
    "heartbeat": "id worker at",
    "hold": "id notification_id vendor order_ref subject reason",
    "key_use": "id vendor key_id merchant last_used_at",
    "license": (
        "id key vendor order_ref line unit subscription_ref vendor_product_id license_model product_id "
        "major_version minor_version product_name engine_version features product_properties activations "
        "floating_seats quantity affiliate user_data computer_type legacy_key test customer_id ordered_at "
        "issued_at expires_at maintenance_until ended_at grace_until suspended_at suspended_until revoked_at "
        "barred_why"
    ),
    "mailed_license": "id vendor order_ref license_id outbox_id",
    "notification": (
        "id vendor endpoint kind order_ref order_status subscription_ref state reason received_at applied_at "
        "digest signed_digest content_type body copies dismissed"
    ),
    "outbox": (
        "id kind state vendor order_ref to subject payload attempts created_at due_at leased_until lease "
        "done_at last_error answer"
    ),
    "refusal": "id reason count",
    "schema_version": "id version",
    "server_property": "id name value updated_at",
    "writer_lock": "id",
}

COLUMNS: Mapping[str, frozenset[str]] = {table: frozenset(names.split()) for table, names in _NAMES.items()}
