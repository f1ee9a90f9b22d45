"""Pages that plugins bring, beside the service's own, which nothing a plugin does can reach."""

from collections.abc import Callable

import pytest

from qlmhook.errors import ConfigurationError
from tests.conftest import QUERY, URL, OpenShop, Shop
from tests.plugins.avangate.orders import Order
from tests.plugins.avangate.signer import form_body, signed
from tests.support.installed import HEADER, Install, hook
from tests.support.server import FORM

PAGES = """
from flask import Blueprint, abort, current_app, request

class Shoplet(Shop):
    plugin = "shoplet"

@hookimpl
def register_vendors():
    return [Shoplet]

pages = Blueprint("shoplet", __name__, url_prefix="/shoplet")

@pages.get("/accounts")
def accounts():
    return ", ".join(account.name for account in current_app.extensions["qlmhook"].accounts)

@pages.post("/echo")
def echo():
    return request.get_data()

@pages.get("/error")
def error():
    raise RuntimeError("a secret")

@pages.get("/teapot")
def teapot():
    abort(418)

@hookimpl
def register_blueprints():
    return [pages]
"""

PAGE_ALONE = """
from flask import Blueprint, current_app

pages = Blueprint("pages", __name__, url_prefix="/pages")

@pages.get("/accounts")
def accounts():
    return ", ".join(account.name for account in current_app.extensions["qlmhook"].accounts)
"""

GREEDY = """
from flask import Blueprint

class Shoplet(Shop):
    plugin = "shoplet"

@hookimpl
def register_vendors():
    return [Shoplet]

greedy = Blueprint("greedy", __name__)

@greedy.route("/", defaults={"path": ""}, methods=["GET", "POST"])
@greedy.route("/<path:path>", methods=["GET", "POST"])
@greedy.route("/healthz", defaults={"path": ""})
@greedy.route("/QlmWebHookHandler", defaults={"path": ""}, methods=["GET", "POST"])
@greedy.route("/<any_path:path>/QlmWebHookHandler", methods=["GET", "POST"])
def mine(path):
    return "mine"

@greedy.before_app_request
def stop():
    return "stopped", 418

@greedy.app_errorhandler(Exception)
def swallow(error):
    return "swallowed", 200

@hookimpl
def register_blueprints():
    return [greedy]
"""

Open = Callable[[str], Shop]


@pytest.fixture
def open_with(install: Install, open_shop: OpenShop) -> Open:
    """A service with an account of a plugin of this source, beside its others."""

    def open_(source: str) -> Shop:
        install("shoplet", f"{HEADER}\n{source}")
        return open_shop(vendors__shoplet__plugin="shoplet")

    return open_


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestPages:
    """Of a plugin that a section names."""

    def test_a_page_is_served_and_has_the_service(self, open_with: Open) -> None:
        answer = open_with(PAGES).client.get("/shoplet/accounts")

        assert (answer.status_code, answer.text) == (200, "avangate, shoplet")

    def test_a_page_gets_the_body_as_it_was_sent(self, open_with: Open) -> None:
        """The service did not read it before."""
        answer = open_with(PAGES).client.post("/shoplet/echo", data=b"\x00a=1&b=%zz", headers=FORM)

        assert answer.data == b"\x00a=1&b=%zz"

    @pytest.mark.parametrize(
        ("path", "status", "text"),
        [
            ("/shoplet/error", 503, "The service cannot take this now. Send it again later.\n"),
            ("/shoplet/teapot", 418, "I'm a teapot\n"),
            ("/shoplet/nowhere", 404, "There is nothing here.\n"),
        ],
    )
    def test_errors_are_answered_as_everywhere(self, open_with: Open, path: str, status: int, text: str) -> None:
        answer = open_with(PAGES).client.get(path)

        assert (answer.status_code, answer.text) == (status, text)

    def test_a_plugin_that_is_named_nowhere_has_no_pages(self, install: Install, open_shop: OpenShop) -> None:
        install("shoplet", f"{HEADER}\n{PAGES}")

        assert open_shop().client.get("/shoplet/accounts").status_code == 404

    def test_a_plugin_with_pages_alone_is_named_in_the_setting(self, install: Install, open_shop: OpenShop) -> None:
        """It serves no shop, so no section can name it."""
        install("pages", hook("register_blueprints", "[pages]", before=PAGE_ALONE))

        answer = open_shop(plugins="pages").client.get("/pages/accounts")

        assert (answer.status_code, answer.text) == (200, "avangate")

    @pytest.mark.parametrize(
        ("source", "sentence"),
        [
            (PAGES.replace("return [pages]", "return [pages, pages]"), r"The pages of the plugin 'shoplet' cannot be"),
            (PAGES.replace("return [pages]", "return ['pages']"), r"The pages of the plugin 'shoplet' cannot be"),
            (PAGES.replace("return [pages]", "1 / 0"), r"The plugin 'shoplet' fails in register_blueprints: ZeroDiv"),
        ],
        ids=["twice", "no blueprint", "raises"],
    )
    def test_pages_that_cannot_be_served_stop_the_start(self, open_with: Open, source: str, sentence: str) -> None:
        with pytest.raises(ConfigurationError, match=sentence):
            open_with(source)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestTheServicesOwn:
    """Beside a blueprint that takes every path, stops every request and swallows every error."""

    def test_the_webhook_still_takes_orders(self, open_with: Open) -> None:
        shop = open_with(GREEDY)
        paths = (URL, "/QlmWebHookHandler", "/shoplet/qlmwebhookhandler/")

        answers = [shop.post(Order().fields(), url=path) for path in paths]

        assert [answer.status_code for answer in answers] == [200] * 3
        assert [answer.text.startswith("<sig algo=") for answer in answers] == [True] * 3

    def test_the_webhook_still_refuses_what_is_forged(self, open_with: Open) -> None:
        body = form_body(signed(Order().fields(), "another key", ["sha256"]))

        assert open_with(GREEDY).client.post(f"{URL}?{QUERY}", data=body, headers=FORM).status_code == 403

    @pytest.mark.parametrize(
        ("path", "text"), [("/healthz", "ok\n"), ("/a/HEALTHZ", "ok\n"), ("/metrics", "# HELP"), ("/PingHttp", "<?xml")]
    )
    def test_its_other_pages_answer(self, open_with: Open, path: str, text: str) -> None:
        answer = open_with(GREEDY).client.get(path)

        assert (answer.status_code, answer.text[: len(text)]) == (200, text)

    def test_all_other_paths_are_the_blueprints(self, open_with: Open) -> None:
        """Its own hooks see these."""
        answer = open_with(GREEDY).client.get("/anything")

        assert (answer.status_code, answer.text) == (418, "stopped")
