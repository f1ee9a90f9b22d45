"""The public HTTP interface: paths, methods, credentials, answers, and what never leaves the house."""

import base64
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from werkzeug.test import TestResponse

from qlmhook.reports import listings
from tests.conftest import KEY, PASSWORD, QUERY, URL, USER, Clock, Configure, OpenShop, Shop
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, receipt_is_valid, signed
from tests.support.engines import PORTS
from tests.support.server import FORM, Gate, ask, serving

ORDER = Order()
BODY = form_body(signed(ORDER.fields(), KEY, ["sha256", "sha3_256"]))
FORGED = form_body(signed(ORDER.fields(), "another key", ["sha256", "sha3_256"]))
RECEIPT = 200
"""Stands for: 200 with a receipt; every other answer has none."""

ACCOUNTS = {
    "vendors__closed__plugin": "avangate",
    "vendors__closed__enabled": "false",
    "vendors__closed__shared_keys": KEY,
    "vendors__keyless__plugin": "avangate",
}


def basic(user: str, password: str) -> dict[str, str]:
    return {**FORM, "Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@dataclass(frozen=True, kw_only=True)
class Request:
    """By default a good one: each fact changes what it is about."""

    status: int
    method: str = "POST"
    path: str = URL
    query: str = QUERY
    body: bytes = BODY
    headers: Mapping[str, str] = field(default_factory=lambda: FORM)


TAKEN = {
    "qlm's asmx path": Request(status=RECEIPT, path="/qlmlicenseserver/qlmservice.asmx/QlmWebHookHandler"),
    "qlm's api path": Request(status=RECEIPT, path="/qlmlicenseserver/api/v1/QlmApi/QlmWebHookHandler"),
    "no prefix": Request(status=RECEIPT, path="/QlmWebHookHandler"),
    "double slash in front": Request(status=RECEIPT, path="//QlmWebHookHandler"),
    "any prefix": Request(status=RECEIPT, path="/what/ever/QlmWebHookHandler"),
    "lower case": Request(status=RECEIPT, path="/qlmlicenseserver/qlmservice.asmx/qlmwebhookhandler"),
    "upper case": Request(status=RECEIPT, path="/QLMLICENSESERVER/QLMSERVICE.ASMX/QLMWEBHOOKHANDLER"),
    "trailing slash": Request(status=RECEIPT, path="/qlmservice.asmx/QlmWebHookHandler/"),
    "double slashes": Request(status=RECEIPT, path="/qlmlicenseserver//qlmservice.asmx//QlmWebHookHandler//"),
    "arguments in upper case": Request(status=RECEIPT, query=f"IS_VENDOR=avangate&IS_USER={USER}&IS_PWD={PASSWORD}"),
    "arguments in mixed case": Request(status=RECEIPT, query=f"Is_Pwd={PASSWORD}&is_User={USER}&iS_vEndor=avangate"),
    "two question marks": Request(status=RECEIPT, query=f"?{QUERY}"),
    "vendor in upper case": Request(status=RECEIPT, query=QUERY.replace("avangate", "AVANGATE")),
    "vendor by its other name": Request(status=RECEIPT, query=QUERY.replace("avangate", "2checkout")),
    "the default vendor": Request(status=RECEIPT, query=QUERY.replace("is_vendor=avangate&", "")),
    "an argument nobody knows": Request(status=RECEIPT, query=f"{QUERY}&is_productid=7"),
    "http basic": Request(status=RECEIPT, query="is_vendor=avangate", headers=basic(USER, PASSWORD)),
    "content type with charset": Request(
        status=RECEIPT, headers={"Content-Type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8"}
    ),
}

REFUSED = {
    "another page": Request(status=404, path="/QlmWebHookHandler/other"),
    "a longer name": Request(status=404, path="/QlmWebHookHandlers"),
    "the root": Request(status=404, path="/"),
    **{
        f"method {method}": Request(status=405, method=method)
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
    },
    **{f"POST to {page}": Request(status=405, path=page) for page in ("/healthz", "/readyz", "/metrics", "/PingHttp")},
    "no credentials": Request(status=401, query="is_vendor=avangate"),
    "no password": Request(status=401, query=f"is_vendor=avangate&is_user={USER}"),
    "no user": Request(status=401, query=f"is_vendor=avangate&is_pwd={PASSWORD}"),
    "wrong password": Request(status=401, query=f"is_vendor=avangate&is_user={USER}&is_pwd=wrong"),
    "password and more": Request(status=401, query=f"{QUERY}x"),
    "password in upper case": Request(status=401, query=f"is_vendor=avangate&is_user={USER}&is_pwd={PASSWORD.upper()}"),
    "wrong user": Request(status=401, query=f"is_vendor=avangate&is_user=wrong&is_pwd={PASSWORD}"),
    "wrong http basic": Request(status=401, query="is_vendor=avangate", headers=basic(USER, "wrong")),
    "broken http basic": Request(
        status=401, query="is_vendor=avangate", headers={**FORM, "Authorization": f"Basic {PASSWORD}"}
    ),
    "a bearer token": Request(
        status=401, query="is_vendor=avangate", headers={**FORM, "Authorization": f"Bearer {PASSWORD}"}
    ),
    "wrong in the url, right in http basic": Request(
        status=401, query=f"is_vendor=avangate&is_user={USER}&is_pwd=wrong", headers=basic(USER, PASSWORD)
    ),
    "the password twice": Request(status=400, query=f"{QUERY}&is_pwd={PASSWORD}"),
    "the password twice in two cases": Request(status=400, query=f"{QUERY}&IS_PWD={PASSWORD}"),
    "unknown vendor": Request(status=404, query=QUERY.replace("avangate", "nobody")),
    "disabled vendor": Request(status=403, query=QUERY.replace("avangate", "closed")),
    "vendor without keys": Request(status=403, query=QUERY.replace("avangate", "keyless")),
    "wrong signature": Request(status=403, body=FORGED),
    "json": Request(status=415, headers={"Content-Type": "application/json"}),
    "multipart": Request(status=415, headers={"Content-Type": "multipart/form-data; boundary=x"}),
    "text": Request(status=415, headers={"Content-Type": "text/plain"}),
    "no content type": Request(status=415, headers={}),
    "broken percent-encoding": Request(status=400, body=BODY + b"&X=%zz"),
    "no body": Request(status=400, body=b""),
}

LOOKS = {
    **{f"GET {page}": Request(status=200, method="GET", path=page, body=b"") for page in ("/healthz", "/PingHttp")},
    **{
        f"{method} the webhook": Request(status=200, method=method, path=URL, query="", body=b"")
        for method in ("GET", "HEAD")
    },
    "GET with a signed body": Request(status=200, method="GET"),
}


ON_ONE_ENGINE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""The other one makes no difference to what HTTP makes of a request."""


def send(shop: Shop, request: Request) -> TestResponse:
    return shop.client.open(
        query_string=request.query,
        method=request.method,
        data=request.body,
        headers=dict(request.headers),
        environ_overrides={"PATH_INFO": request.path},  # the client takes //name for a host
    )


def count_notifications(shop: Shop) -> int:
    with shop.service.database.reading():
        return len(listings.notifications())


@ON_ONE_ENGINE
@pytest.mark.parametrize("request_", TAKEN.values(), ids=TAKEN.keys())
def test_a_signed_order_is_receipted_however_it_is_addressed(shop: Shop, request_: Request) -> None:
    answer = send(shop, request_)

    assert answer.status_code == request_.status
    assert receipt_is_valid(answer.text, KEY, ORDER.receipt_values(), "sha3_256")
    assert count_notifications(shop) == 1


@ON_ONE_ENGINE
@pytest.mark.parametrize("request_", {**REFUSED, **LOOKS}.values(), ids={**REFUSED, **LOOKS}.keys())
def test_everything_else_is_answered_with_its_status_and_nothing_is_kept(
    open_shop: OpenShop, request_: Request
) -> None:
    """No such answer holds a receipt, a digest or a stack trace."""
    shop = open_shop(**ACCOUNTS)

    answer = send(shop, request_)

    assert answer.status_code == request_.status
    assert not any(part in answer.text for part in ("<sig", "EPAYMENT", "Traceback", 'File "'))
    assert count_notifications(shop) == 0


@ON_ONE_ENGINE
def test_a_refusal_for_want_of_credentials_asks_for_them(shop: Shop) -> None:
    assert send(shop, REFUSED["no credentials"]).headers["WWW-Authenticate"] == 'Basic realm="qlmhook"'


@ON_ONE_ENGINE
@pytest.mark.parametrize(("path", "methods"), [(URL, "GET, HEAD, POST"), ("/healthz", "GET, HEAD")])
def test_a_wrong_method_is_told_the_right_ones(shop: Shop, path: str, methods: str) -> None:
    assert shop.client.put(path).headers["Allow"] == methods


@ON_ONE_ENGINE
def test_ping_answers_as_qlm_does(shop: Shop, clock: Clock) -> None:
    """Also behind a prefix and in any letter case."""
    answer = shop.client.get("/qlmlicenseserver/qlmservice.asmx/pinghttp")

    root = ET.fromstring(answer.text)
    assert answer.content_type == "text/xml; charset=utf-8"
    assert root.tag == "QuickLicenseManager"
    assert root.findtext("result") == "OK"
    assert root.findtext("serverDate") == f"{clock():%Y-%m-%dT%H:%M:%SZ}"


@ON_ONE_ENGINE
def test_it_is_ready_as_long_as_an_outbox_worker_is_alive(shop: Shop, clock: Clock) -> None:
    """A worker counts as alive for three minutes after its last heartbeat."""
    before = shop.client.get("/readyz")
    shop.service.delivery.beat("worker")
    alive = shop.client.get("/readyz")
    clock.now += timedelta(seconds=181)
    silent = shop.client.get("/readyz")

    assert [answer.status_code for answer in (before, alive, silent)] == [503, 200, 503]
    assert silent.text == "No outbox worker is alive: mails are not going out.\n"


def test_metrics_count_what_is_in_the_database(shop: Shop, clock: Clock) -> None:
    shop.map("101")
    shop.post(ORDER.fields())
    shop.post(Order(refno="900000002", lines=[Line(pid="102", ref="BBBBBBBBBB")]).fields())
    clock.now += timedelta(seconds=90)
    shop.service.delivery.beat("worker")

    lines = shop.client.get("/metrics").text.splitlines()

    assert {line for line in lines if not line.startswith(("#", "qlmhook_key"))} == {
        'qlmhook_notifications{state="done"} 1.0',
        'qlmhook_notifications{state="ignored"} 0.0',
        'qlmhook_notifications{state="held"} 1.0',
        'qlmhook_outbox{state="due"} 2.0',
        'qlmhook_outbox{state="leased"} 0.0',
        'qlmhook_outbox{state="done"} 0.0',
        'qlmhook_outbox{state="dead"} 0.0',
        "qlmhook_outbox_oldest_seconds 90.0",
        "qlmhook_licenses 1.0",
        "qlmhook_workers 1.0",
    }


class TestDatabaseAway:
    """Row 56 of the test matrix: the vendor is told to send again, and then the order is fulfilled."""

    @staticmethod
    def check_refusal(answer: TestResponse) -> None:
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "60"
        assert answer.text == "The service cannot take this now. Send it again later.\n"

    @staticmethod
    def check_the_same_message_now(shop: Shop) -> None:
        answer = shop.post(ORDER.fields())

        assert receipt_is_valid(answer.text, KEY, ORDER.receipt_values(), "sha3_256")
        with shop.service.database.reading():
            assert [row["order_ref"] for row in listings.licenses(now=shop.clock())] == [ORDER.refno]

    @ON_ONE_ENGINE
    def test_sqlites_folder_is_away(self, open_shop: OpenShop, tmp_path: Path) -> None:
        """As when a volume is not mounted."""
        folder, elsewhere = tmp_path / "volume", tmp_path / "elsewhere"
        folder.mkdir()
        shop = open_shop(database=f"sqlite:///{folder / 'test.db'}")
        shop.map("101")
        folder.rename(elsewhere)

        self.check_refusal(shop.post(ORDER.fields()))
        self.check_refusal(shop.client.get("/readyz"))
        assert shop.client.get("/healthz").status_code == 200
        elsewhere.rename(folder)

        self.check_the_same_message_now(shop)

    @pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
    def test_a_server_is_away(self, open_shop: OpenShop, database_url: str) -> None:
        """As when the server restarts, or the network to it is cut in the middle of a connection."""
        place = urlsplit(database_url)
        gate = Gate(place.hostname or "127.0.0.1", place.port or PORTS[place.scheme])
        gate.open()
        through_the_gate = place.netloc.rpartition("@")[0] + f"@127.0.0.1:{gate.port}"
        shop = open_shop(database=place._replace(netloc=through_the_gate).geturl())
        shop.map("101")
        gate.shut()

        self.check_refusal(shop.post(ORDER.fields()))
        self.check_refusal(shop.client.get("/metrics"))
        gate.open()

        self.check_the_same_message_now(shop)
        shop.service.database.close()
        gate.shut()


@ON_ONE_ENGINE
@pytest.mark.slow
def test_neither_output_nor_answers_give_a_secret_away(configure: Configure, tmp_path: Path) -> None:
    """Every request of this file, sent to a real server, leaves neither password nor key in what it prints or says."""
    configure()
    said = []

    with serving(tmp_path / "qlmhook.toml", overrides=ACCOUNTS) as server:
        for request in (*TAKEN.values(), *REFUSED.values(), *LOOKS.values()):
            target = f"{request.path}?{request.query}"
            answer = ask(server.port, request.method, target, body=request.body, headers=request.headers)
            assert answer.status == request.status, target
            said += [answer.text, str(answer.headers)]

    printed = server.output

    assert printed.count("QlmWebHookHandler") > 40
    for secret in (PASSWORD, KEY, basic(USER, PASSWORD)["Authorization"].removeprefix("Basic ")):
        assert secret not in printed
        assert not any(secret in text for text in said)


@ON_ONE_ENGINE
@pytest.mark.parametrize("header", ["Basic \xff!!", "Basic ====", "Basic", "Bearer x"])
def test_an_authorization_that_is_none_is_refused(shop: Shop, header: str) -> None:
    """And is nobody's fault but the sender's."""
    answer = shop.client.post(
        f"{URL}?is_vendor=avangate",
        data=b"a=b",
        content_type=FORM["Content-Type"],
        environ_overrides={"HTTP_AUTHORIZATION": header},
    )

    assert answer.status_code == 401
