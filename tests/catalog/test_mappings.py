"""Server properties in the database."""

import pytest

from qlmhook.catalog import mappings
from qlmhook.errors import NotFound, PropertyError
from qlmhook.storage import models
from tests.conftest import Shop

PRODUCT = "&is_productid=1&is_majorversion=1&is_minorversion=0"


def test_a_property_is_found_by_its_name_in_any_case(shop: Shop) -> None:
    with shop.service.database.transaction():
        mappings.save("Common.Args", "is_features=0:1", now=shop.clock())

        assert mappings.property_value(" COMMON.args ") == "is_features=0:1"


def test_saving_again_replaces_the_value(shop: Shop) -> None:
    with shop.service.database.transaction():
        mappings.save("common", "is_features=0:1", now=shop.clock())
        mappings.save("COMMON", "is_features=0:2", now=shop.clock())

        assert [(row.name, row.value) for row in mappings.every()] == [("common", "is_features=0:2")]


def test_a_wrong_value_leaves_the_stored_one_alone(shop: Shop) -> None:
    with shop.service.database.transaction():
        mappings.save("common", "is_features=0:1", now=shop.clock())

        with pytest.raises(PropertyError):
            mappings.save("common", "is_features=all", now=shop.clock())
        assert mappings.property_value("common") == "is_features=0:1"


def test_a_password_inside_a_property_does_not_reach_the_database(shop: Shop) -> None:
    with shop.service.database.transaction():
        mappings.save("pid_1", f"is_user=tom&is_pwd=hush{PRODUCT}", now=shop.clock())

        rows = list(models.ServerProperty.select().tuples())
    assert len(rows) == 1
    assert "hush" not in repr(rows)
    assert "tom" not in repr(rows)


def test_properties_are_listed_by_name(shop: Shop) -> None:
    with shop.service.database.transaction():
        for name in ("pid_2", "common", "pid_1"):
            mappings.save(name, PRODUCT, now=shop.clock())

        assert [row.name for row in mappings.every()] == ["common", "pid_1", "pid_2"]


def test_a_removed_property_is_gone(shop: Shop) -> None:
    with shop.service.database.transaction():
        mappings.save("common", "is_features=0:1", now=shop.clock())
        mappings.remove(" Common ")

        assert mappings.property_value("common") is None


def test_removing_what_is_not_there_is_an_error(shop: Shop) -> None:
    with shop.service.database.transaction(), pytest.raises(NotFound, match="no property common"):
        mappings.remove("common")


def test_the_mapping_of_one_account_counts_before_that_of_all(shop: Shop) -> None:
    with shop.service.database.transaction():
        mappings.save("pid_101", f"{PRODUCT}&is_userdata1=all", now=shop.clock())
        mappings.save("second_pid_101", f"{PRODUCT}&is_userdata1=second", now=shop.clock())

        first, second = mappings.mapped_terms("avangate", ["101"]), mappings.mapped_terms("Second", ["101"])
    assert first is not None
    assert second is not None
    assert (first.user_data, second.user_data) == ("all", "second")


def test_one_account_can_ignore_a_product_that_others_license(shop: Shop) -> None:
    with shop.service.database.transaction():
        mappings.save("pid_101", PRODUCT, now=shop.clock())
        mappings.save("second_pid_101", "ignore", now=shop.clock())

        assert mappings.mapped_terms("second", ["101"]) is None


def test_a_product_without_a_mapping_is_named(shop: Shop) -> None:
    with shop.service.database.reading(), pytest.raises(NotFound, match="no property pid_101"):
        mappings.mapped_terms("avangate", ["101"])


def test_a_mapping_splices_what_the_database_has_today(shop: Shop) -> None:
    with shop.service.database.transaction():
        mappings.save("common", "is_userdata1=before", now=shop.clock())
        mappings.save("pid_101", f"{PRODUCT}&is_args=Common", now=shop.clock())
        mappings.save("common", "is_userdata1=after", now=shop.clock())

        terms = mappings.mapped_terms("avangate", ["101"])
    assert terms is not None
    assert terms.user_data == "after"


def test_a_mapping_whose_splice_was_removed_cannot_be_used(shop: Shop) -> None:
    with shop.service.database.transaction():
        mappings.save("common", "is_features=0:1", now=shop.clock())
        mappings.save("pid_101", f"{PRODUCT}&is_args=common", now=shop.clock())
        mappings.remove("common")

        with pytest.raises(PropertyError, match="'common', which does not exist"):
            mappings.mapped_terms("avangate", ["101"])


def saved(shop: Shop, **properties: str) -> None:
    """Properties whose value is what `is_userdata1` says, or a whole value."""
    for name, text in properties.items():
        value = text if "&" in text or text == "ignore" else f"{PRODUCT}&is_userdata1={text}"
        mappings.save(name, value, now=shop.clock())


def user_data(product_ids: list[str], *options: str) -> str:
    """What `is_userdata1` of the mapping that counts says."""
    terms = mappings.mapped_terms("second", product_ids, options)
    assert terms is not None
    return terms.user_data


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        (["second_pid_price", "pid_price", "second_pid_prod", "pid_prod"], "second_pid_price"),
        (["pid_price", "second_pid_prod", "pid_prod"], "pid_price"),
        (["second_pid_prod", "pid_prod", "pid_family"], "second_pid_prod"),
        (["pid_prod", "second_pid_family", "pid_family"], "pid_prod"),
        (["second_pid_family", "pid_family"], "second_pid_family"),
        (["pid_family"], "pid_family"),
    ],
)
def test_of_several_ids_the_most_specific_that_is_mapped_counts(shop: Shop, names: list[str], counts: str) -> None:
    """And of each id that of the account before that of all."""
    with shop.service.database.transaction():
        saved(shop, **{name: name for name in names})

        assert user_data(["price", "prod", "family"]) == counts


def test_a_specific_id_can_be_ignored_that_is_licensed_in_general(shop: Shop) -> None:
    with shop.service.database.transaction():
        saved(shop, pid_price="ignore", pid_prod="general")

        assert mappings.mapped_terms("second", ["price", "prod"]) is None


def test_without_a_mapping_every_id_is_named(shop: Shop) -> None:
    with shop.service.database.reading(), pytest.raises(NotFound, match="no property pid_price or pid_prod"):
        mappings.mapped_terms("second", ["price", "prod"])


def test_an_option_is_laid_over_by_the_id_whose_mapping_counts(shop: Shop) -> None:
    with shop.service.database.transaction():
        saved(shop, pid_prod="plain", pid_prod_pro="pro")

        assert (user_data(["price", "prod"]), user_data(["price", "prod"], "pro")) == ("plain", "pro")


@pytest.mark.parametrize(
    ("chosen", "features", "said"),
    [
        pytest.param(["gold"], "0:7", "base", id="an option adds to the product"),
        pytest.param(["Gold"], "0:7", "base", id="in any letter case"),
        pytest.param(["gold", "phone"], "0:7", "phone", id="several add up"),
        pytest.param(["paper"], "0:1", "base", id="one without a property adds nothing"),
    ],
)
def test_options_are_laid_over_one_after_the_other(shop: Shop, chosen: list[str], features: str, said: str) -> None:
    with shop.service.database.transaction():
        mappings.save("pid_101", f"{PRODUCT}&is_features=0:1&is_userdata1=base", now=shop.clock())
        mappings.save("pid_101_gold", "is_features=0:7", now=shop.clock())
        mappings.save("pid_101_phone", "is_userdata1=phone", now=shop.clock())

        terms = mappings.mapped_terms("second", ["101"], chosen)
    assert terms is not None
    assert (terms.features, terms.user_data) == (features, said)


def test_the_option_of_one_account_counts_before_that_of_all(shop: Shop) -> None:
    with shop.service.database.transaction():
        saved(shop, pid_101="plain", pid_101_gold="all", second_pid_101_gold="second", first_pid_101_gold="first")

        assert user_data(["101"], "gold") == "second"


def test_an_option_can_mean_that_there_is_no_license(shop: Shop) -> None:
    with shop.service.database.transaction():
        saved(shop, pid_101="plain", pid_101_trial="ignore")

        assert mappings.mapped_terms("second", ["101"], ["trial"]) is None


def test_an_option_of_a_more_specific_id_is_laid_over_that(shop: Shop) -> None:
    with shop.service.database.transaction():
        saved(shop, pid_prod="plain", pid_prod_pro="pro", pid_price_pro="special")

        assert user_data(["price", "prod"], "pro") == "special"


def test_an_option_of_a_more_general_id_is_passed_over(shop: Shop) -> None:
    with shop.service.database.transaction():
        saved(shop, pid_price="plain", pid_prod="general", pid_prod_pro="pro")

        assert user_data(["price", "prod"], "pro") == "plain"


@pytest.mark.parametrize("name", ["pid_price", "second_pid_prod", "pid_prod_pro", "common"])
def test_a_property_of_any_of_its_ids_concerns_a_product(shop: Shop, name: str) -> None:
    """One that is spliced into these, too."""
    with shop.service.database.transaction():
        mappings.save("common", "is_features=0:1", now=shop.clock())
        for of_it in ("pid_price", "second_pid_prod", "pid_prod_pro", "pid_other"):
            mappings.save(of_it, f"{PRODUCT}&is_args=common", now=shop.clock())

        assert mappings.concerns([name], "second", ["price", "prod"])
        assert not mappings.concerns([name], "second", ["another"])
