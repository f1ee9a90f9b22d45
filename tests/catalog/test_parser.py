"""What a server property's value means, with QLM's own spellings of it."""

from dataclasses import fields
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmhook.catalog import parser
from qlmhook.catalog.arguments import ARGUMENTS
from qlmhook.domain.terms import Terms
from qlmhook.errors import PropertyError

PRODUCT = "&is_productid=1&is_majorversion=1&is_minorversion=0"

Others = dict[str, str]
NONE: Others = {}


def terms(text: str, others: Others = NONE) -> Terms:
    """The terms of a mapping that gets a license."""
    found = parser.read_terms([text], others.get)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        pytest.param("&is_productid=1&is_features=0:3", {"is_productid": "1", "is_features": "0:3"}, id="leading &"),
        pytest.param("?is_productid=1", {"is_productid": "1"}, id="leading ?"),
        pytest.param("is_productid=1", {"is_productid": "1"}, id="no leading character"),
        pytest.param(
            "is_productid=1&&is_qlmversion=6.0.00&", {"is_productid": "1", "is_qlmversion": "6.0.00"}, id="&&"
        ),
        pytest.param(
            "\n&is_productid = 1 \r\n& is_pp=\n  a.b::1||c.d::x\n",
            {"is_productid": "1", "is_pp": "a.b::1||c.d::x"},
            id="line breaks and blanks around names and values",
        ),
        pytest.param("is_emailtemplate=1. New Order", {"is_emailtemplate": "1. New Order"}, id="raw blanks"),
        pytest.param("is_pp=seats.max::+2", {"is_pp": "seats.max::+2"}, id="a plus sign is a plus sign"),
        pytest.param("is_pp=seats.max::%2B2", {"is_pp": "seats.max::+2"}, id="an encoded plus sign"),
        pytest.param("is_userdata1=a%26b%3Dc%20%C3%A4", {"is_userdata1": "a&b=c ä"}, id="percent-encoding"),
        pytest.param("is_userdata1=100%", {"is_userdata1": "100%"}, id="a percent sign that encodes nothing"),
        pytest.param("is_userdata1=a=b==", {"is_userdata1": "a=b=="}, id="only the first = separates"),
        pytest.param("IS_ProductID=1&Is_UserData1=MiXed", {"is_productid": "1", "is_userdata1": "MiXed"}, id="case"),
        pytest.param("is_features=0:1&is_features=0:2", {"is_features": "0:2"}, id="the later duplicate wins"),
        pytest.param("is_emailtemplate=a&is_template=b", {"is_emailtemplate": "b"}, id="a duplicate by its alias"),
        pytest.param("", {}, id="nothing"),
    ],
)
def test_a_value_is_split_into_its_arguments(text: str, arguments: dict[str, str]) -> None:
    assert parser.parse_arguments(text) == arguments


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("is_template", "is_emailtemplate"),
        ("is_renewal_emailtemplate", "is_emailtemplate_renew"),
        ("is_sendmail", "is_send_mail"),
        ("is_maintplan", "is_maintenance_plan"),
        ("is_maintenanceplan", "is_maintenance_plan"),
        ("is_mainduration", "is_maintduration"),
        ("IS_MaintPlan", "is_maintenance_plan"),
    ],
)
def test_qlms_other_spellings_are_understood(alias: str, name: str) -> None:
    assert parser.parse_arguments(f"{alias}=1") == {name: "1"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("is_productid", "'is_productid' is no argument"),
        ("is_userdata1=R&D", "'D' is no argument"),
        ("is_userdata1=%FF", "is_userdata1 has percent-encoding that is not UTF-8"),
    ],
)
def test_a_value_that_cannot_be_split_is_refused_with_its_part_named(text: str, complaint: str) -> None:
    with pytest.raises(PropertyError, match=complaint):
        parser.parse_arguments(text)


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("&?=%+;:|. \n0fFis_args\0ä\ud800") | st.characters()))
def test_whatever_an_operator_types_is_split_or_refused_as_a_property_error(text: str) -> None:
    try:
        arguments = parser.parse_arguments(text)
    except PropertyError:
        return

    assert all(name == name.strip().lower() for name in arguments)


def test_qlms_example_of_a_mapping_means_a_subscription() -> None:
    """What it leaves out has the defaults of any property."""
    text = f"{PRODUCT}&is_productname=MyProduct&is_emailtemplate=Customer.NewOrder&is_licensemodel=subscription"

    assert terms(text) == Terms(
        product_id=1,
        major_version=1,
        minor_version=0,
        product_name="MyProduct",
        license_model="subscription",
        order_template="Customer.NewOrder",
    )


GOOD: list[tuple[str, str, str, Any]] = [
    ("is_productid", "2147483647", "product_id", 2147483647),
    ("is_majorversion", "0", "major_version", 0),
    ("is_minorversion", "07", "minor_version", 7),
    ("is_productname", "Größe %26 Co", "product_name", "Größe & Co"),
    *(
        ("is_licensemodel", model, "license_model", model.lower())
        for model in (
            "permanent",
            "permanent_cloud",
            "permanent_floating",
            "trial",
            "trial_cloud",
            "trial_floating",
            "Subscription",
            "subscription_cloud",
            "subscription_floating",
        )
    ),
    ("is_qlmversion", "5.0.00", "engine_version", "5.0.00"),
    ("is_expduration", "30", "duration_days", 30),
    ("is_expdate", "2026-12-31", "end_date", date(2026, 12, 31)),
    ("is_features", "0:7", "features", "0:7"),
    ("is_features", "0:3;1:255;", "features", "0:3;1:255"),
    ("is_features", "0", "features", ""),
    ("is_pp", "a.b::1", "product_properties", "a.b::1"),
    ("is_pp", "a.b::+1||c.d::x::2026-12-31", "product_properties", "a.b::+1||c.d::x::2026-12-31"),
    ("is_pp", "a.b::1::2026-12-31 23:59:59", "product_properties", "a.b::1::2026-12-31 23:59:59"),
    ("is_usemultipleactivationskey", "false", "one_key", False),
    ("is_numberofactivationsperkey", "3", "activations_per_unit", 3),
    ("is_additionalactivations", "2", "additional_activations", 2),
    ("is_floating", "5", "seats_per_unit", 5),
    ("is_floating", "true", "seats_per_unit", 1),
    ("is_floating", "false", "seats_per_unit", 0),
    ("is_maintenance_plan", "1", "maintenance", True),
    ("is_maintduration", "730", "maintenance_days", 730),
    ("is_maintdate", "2027-06-30", "maintenance_date", date(2027, 6, 30)),
    ("is_affiliateid", "Northern Resellers", "affiliate", "Northern Resellers"),
    ("is_userdata1", "x" * 4000, "user_data", "x" * 4000),
    ("is_computertype", "2", "computer_type", 2),
    ("is_legacykey", "OLD-1234", "legacy_key", "OLD-1234"),
    ("is_keymaker", "Pool-2", "key_maker", "pool-2"),
    ("is_emailtemplate", "1. New Order", "order_template", "1. New Order"),
    ("is_emailtemplate_renew", "PayPal.RenewSubscription", "renewal_template", "PayPal.RenewSubscription"),
    ("is_send_mail", "no", "send_mail", False),
    ("is_send_renewal_mail", "0", "send_renewal_mail", False),
    ("is_emailfrom", "sales@example.com", "mail_from", "sales@example.com"),
    ("is_emailsubject", "Your key for %25ProductName%25", "mail_subject", "Your key for %ProductName%"),
    ("is_ccemail", "a@example.com; b@example.com;", "mail_cc", ("a@example.com", "b@example.com")),
    ("is_bccemail", "a@example.com", "mail_bcc", ("a@example.com",)),
    ("is_sendresponse", "Yes", "confirm", True),
]


@pytest.mark.parametrize(("name", "text", "attribute", "value"), GOOD)
def test_an_argument_becomes_a_term(name: str, text: str, attribute: str, value: Any) -> None:
    assert getattr(terms(f"{PRODUCT}&{name}={text}"), attribute) == value


BAD = [
    ("is_productid", "one", "a whole number from 0 to 2147483647"),
    ("is_productid", "2147483648", "a whole number"),
    ("is_majorversion", "-1", "a whole number"),
    ("is_minorversion", "1.5", "a whole number"),
    ("is_productname", "x" * 256, "at most 255 printable characters"),
    ("is_productname", "two%0Alines", "at most 255 printable characters"),
    ("is_licensemodel", "perpetual", "one of permanent, permanent_floating"),
    ("is_qlmversion", "6", "one of 5.0.00, 6.0.00"),
    ("is_expduration", "0", "a whole number from 1 to 36500"),
    ("is_expdate", "31.12.2026", "a date of the form 2026-12-31"),
    ("is_expdate", "2026-02-30", "a date of the form 2026-12-31"),
    ("is_features", "4:1", "sets of features such as"),
    ("is_features", "0:256", "sets of features such as"),
    ("is_features", "0:1;0:2", "each set of features"),
    ("is_pp", "b::1", "category.name::value"),
    ("is_pp", "a.b", "category.name::value"),
    ("is_pp", "a.b::1::soon", "an expiry of the form"),
    ("is_quantity", "many", "a whole number from 1"),
    ("is_usemultipleactivationskey", "2", "true or false"),
    ("is_numberofactivationsperkey", "0", "a whole number from 1 to 1000000"),
    ("is_additionalactivations", "1000001", "a whole number from 0 to 1000000"),
    ("is_floating", "some", "true or false"),
    ("is_maintenance_plan", "maybe", "true or false"),
    ("is_maintduration", "0", "a whole number from 1"),
    ("is_maintdate", "2026/12/31", "a date of the form"),
    ("is_affiliateid", "x" * 256, "at most 255"),
    ("is_userdata1", "x" * 4001, "at most 4000"),
    ("is_computertype", "3", "a whole number from 0 to 2"),
    ("is_legacykey", "x" * 256, "at most 255"),
    ("is_keymaker", "a pool", "a name of letters, digits"),
    ("is_emailtemplate", "../secret", "the name of a template"),
    ("is_emailtemplate_renew", "a/b", "the name of a template"),
    ("is_send_mail", "never", "true or false"),
    ("is_send_renewal_mail", "2", "true or false"),
    ("is_emailfrom", "sales", "e-mail addresses"),
    ("is_emailsubject", "x%0D%0ABcc: b@example.com", "at most 255 printable characters"),
    ("is_ccemail", "a@example.com,b@example.com", "e-mail addresses, separated by semicolons"),
    ("is_bccemail", ";", "e-mail addresses"),
    ("is_sendresponse", "2CO", "true or false"),
    ("is_args", "x" * 191, "at most 190"),
]


@pytest.mark.parametrize(("name", "text", "meant"), BAD)
def test_a_wrong_value_is_refused_with_what_was_meant(name: str, text: str, meant: str) -> None:
    with pytest.raises(PropertyError, match=f"^{name} is .*; meant is .*{meant}"):
        parser.check("common", f"{name}={text}", NONE.get)


def test_the_tables_above_know_the_whole_vocabulary() -> None:
    """is_quantity and is_args become no term of their own."""
    assert {name for name, _, _ in BAD} == set(ARGUMENTS)
    assert {name for name, _, _, _ in GOOD} == set(ARGUMENTS) - {"is_quantity", "is_args"}


def test_every_term_is_set_by_one_argument() -> None:
    """`source` is what they all are."""
    terms = [argument.term for argument in ARGUMENTS.values() if argument.term]

    assert sorted(terms) == sorted({part.name for part in fields(Terms)} - {"source"})


@pytest.mark.parametrize("argument", ["is_quantity=5", "is_productname=", "is_expdate=", "is_unheard_of=1"])
def test_the_orders_quantity_an_empty_value_and_an_unknown_name_change_nothing(argument: str) -> None:
    assert terms(f"{PRODUCT}&{argument}") == terms(PRODUCT)


@pytest.mark.parametrize("name", ["is_productid", "is_majorversion", "is_minorversion"])
def test_a_mapping_needs_product_and_version(name: str) -> None:
    with pytest.raises(PropertyError, match=f"{name} must be given"):
        terms(PRODUCT.replace(name, "is_userdata1"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("is_emailfrom=a@example.com;b@example.com", "more than one address"),
        ("is_usemultipleactivationskey=false&is_additionalactivations=1", "is_additionalactivations needs one key"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(arguments: str, complaint: str) -> None:
    with pytest.raises(PropertyError, match=complaint):
        terms(f"{PRODUCT}&{arguments}")


@pytest.mark.parametrize("text", ["ignore", " Ignore\n", "IGNORE"])
def test_ignore_means_no_license(text: str) -> None:
    assert parser.read_terms([text], NONE.get) is None


def test_is_args_adds_the_arguments_of_another_property_and_explicit_ones_win() -> None:
    others = {"common": "&is_features=0:1&is_userdata1=common"}

    found = terms(f"{PRODUCT}&is_args=common&is_userdata1=own", others)

    assert (found.features, found.user_data) == ("0:1", "own")


def test_a_spliced_property_may_splice_another_and_the_nearer_one_wins() -> None:
    others = {
        "near": "is_args=far&is_userdata1=near",
        "far": f"{PRODUCT}&is_userdata1=far&is_features=0:1",
    }

    found = terms("is_args=near", others)

    assert (found.features, found.user_data) == ("0:1", "near")


def chain(length: int) -> Others:
    """Properties p1 to p<length>, each of which splices the next."""
    return {f"p{step}": f"is_args=p{step + 1}" for step in range(1, length)} | {f"p{length}": "is_features=0:1"}


def test_five_properties_deep_is_allowed() -> None:
    assert terms(f"{PRODUCT}&is_args=p1", chain(5)).features == "0:1"


@pytest.mark.parametrize(
    ("others", "complaint"),
    [
        pytest.param({"p1": "is_args=p1"}, "is_args=p1 leads in a circle", id="itself"),
        pytest.param({"p1": "is_args=p2", "p2": "is_args=P1"}, "is_args=P1 leads in a circle", id="a circle of two"),
        pytest.param(chain(6), "is_args=p6 .* deeper than 5", id="six deep"),
        pytest.param({"p1": "is_args=gone"}, "'gone', which does not exist", id="missing"),
        pytest.param({"p1": "ignore"}, "'ignore' is no argument", id="a property that marks a product"),
    ],
)
def test_is_args_that_leads_nowhere_is_refused(others: Others, complaint: str) -> None:
    with pytest.raises(PropertyError, match=complaint):
        terms(f"{PRODUCT}&is_args=p1", others)


def test_a_good_value_is_kept_as_it_was_typed() -> None:
    text = "?is_productid=1&is_majorversion=1&is_minorversion=0&is_template=New%20Order&is_pp=\na.b::+1"

    checked = parser.check("pid_1", f" {text}\n", NONE.get)

    assert (checked.value, checked.warnings) == (text, [])


def test_an_unknown_name_is_kept_with_a_warning() -> None:
    checked = parser.check("pid_1", f"{PRODUCT}&note=blue", NONE.get)

    assert checked.value == f"{PRODUCT}&note=blue"
    assert checked.warnings == ["note is not known; it is kept and has no effect."]


def test_a_near_miss_is_warned_about_with_the_name_that_may_be_meant() -> None:
    checked = parser.check("pid_1", f"{PRODUCT}&is_licencemodel=trial", NONE.get)

    assert checked.warnings == ["is_licencemodel is not known; it is kept and has no effect. Is is_licensemodel meant?"]


@pytest.mark.parametrize("name", ["pid_1", "common"])
def test_credentials_are_left_out_of_what_is_stored(name: str) -> None:
    """QLM's PayPal, Shopify and Stripe pages put them into the property."""
    checked = parser.check(name, f"&is_vendor=avangate&IS_User=tom&is_pwd=hush{PRODUCT}", NONE.get)

    assert checked.value == PRODUCT
    assert checked.arguments == {"is_productid": "1", "is_majorversion": "1", "is_minorversion": "0"}
    assert checked.warnings == [
        f"{dropped} does not belong into a property; it was left out." for dropped in ("is_pwd", "is_user", "is_vendor")
    ]


@pytest.mark.parametrize("text", ["", " & ", "is_user=tom&is_pwd=hush"])
def test_a_value_without_arguments_is_refused(text: str) -> None:
    with pytest.raises(PropertyError, match="no arguments"):
        parser.check("common", text, NONE.get)


def test_a_mapping_is_checked_with_what_it_splices_in() -> None:
    with pytest.raises(PropertyError, match="is_features is 'all'"):
        parser.check("pid_1", f"{PRODUCT}&is_args=common", {"common": "is_features=all"}.get)


def test_a_property_that_is_no_mapping_need_not_name_a_product() -> None:
    assert parser.check("common", "is_features=0:1", NONE.get).warnings == []


@pytest.mark.parametrize(("name", "stored"), [("pid_1", "ignore"), ("shop2_pid_1", "ignore")])
def test_ignore_is_a_value_of_a_mapping(name: str, stored: str) -> None:
    assert parser.check(name, " Ignore ", NONE.get).value == stored


def test_ignore_is_no_value_of_other_properties() -> None:
    with pytest.raises(PropertyError, match="'ignore' is no argument"):
        parser.check("common", "ignore", NONE.get)


@pytest.mark.parametrize(
    ("name", "mapping"),
    [
        ("pid_8019770900775", True),
        ("PID_1", True),
        ("avangate_pid_1", True),
        ("pid_", False),
        ("stupid_1", False),
        ("common", False),
    ],
)
def test_a_mapping_is_told_by_its_name(name: str, mapping: bool) -> None:
    assert parser.is_mapping(name) is mapping


@pytest.mark.parametrize(
    ("typed", "stored"), [(" PID_8019770900775 ", "pid_8019770900775"), ("Item 1.b-c", "item 1.b-c")]
)
def test_a_name_is_stored_in_lower_case(typed: str, stored: str) -> None:
    assert parser.checked_name(typed) == stored


@pytest.mark.parametrize("typed", ["", "_pid_1", "pid_1=2", "pid\n1", "pid_1&2", "p" * 191])
def test_what_is_no_name_is_refused(typed: str) -> None:
    with pytest.raises(PropertyError, match="is no name for a property"):
        parser.checked_name(typed)
