"""Behind a real nginx: what comes through it, whom the service takes for the client, and what is logged."""

import http.client
import json
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import KEY, USER, free_port
from tests.plugins.avangate.orders import Line, Order
from tests.plugins.avangate.signer import form_body, receipt_is_valid, signed
from tests.support.server import FORM, NOTHING, PATIENCE, Answer, Server, ask, running, wait_until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason="no nginx is found")]

PASSWORD = "pa&ss w/ö%rd"
SHOP, STRANGER = "127.0.0.9", "127.0.0.8"
HANDLER = "/qlmservice.asmx/QlmWebHookHandler"
QUERY = f"is_vendor=avangate&is_user={USER}&is_pwd={quote(PASSWORD, safe='')}"
GUARDED = QUERY.replace("avangate", "guarded")

SETTINGS = f"""
worker = false
trusted_proxies = 1
[vendors.avangate]
user = "{USER}"
password = "{PASSWORD}"
shared_keys = ["{KEY}"]
[vendors.guarded]
plugin = "avangate"
user = "{USER}"
password = "{PASSWORD}"
shared_keys = ["{KEY}"]
sources = ["{SHOP}"]
"""

SEEN = """
from flask import request

from qlmhook.app import create_app

app = create_app()


@app.get("/seen")
def seen():
    return {
        "scheme": request.scheme, "host": request.host, "prefix": request.root_path, "address": request.remote_addr
    }
"""
"""The service with one page more, which tells what the others see of a request."""

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
# below crit nginx quotes the request line, with its query string, when the service is away
error_log {folder}/error.log crit;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 2m;
    log_format plain '$remote_addr "$request_method $uri $server_protocol" $status $body_bytes_sent';
    access_log {folder}/access.log plain;
    server {{
        listen 127.0.0.1:{plain};
        location / {{
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Prefix "";
            proxy_pass http://127.0.0.1:{service};
        }}
    }}
    server {{
        # as where TLS ends, and where other proxies' addresses are kept
        listen 127.0.0.1:{prefixed};
        location /licensing/ {{
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Prefix /licensing;
            proxy_pass http://127.0.0.1:{service}/;
        }}
    }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Proxied:
    """nginx with a service behind it, at the root of one port and under a prefix at another."""

    folder: Path
    server: Server
    plain: int
    prefixed: int

    @property
    def logged(self) -> str:
        """What nginx has written to its logs."""
        return "".join((self.folder / name).read_text(encoding="utf-8") for name in ("access.log", "error.log"))


@contextmanager
def nginx(configuration: str, folder: Path, port: int) -> Iterator[None]:
    path = folder / "nginx.conf"
    path.write_text(configuration, encoding="utf-8")
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(path)])

    def is_up() -> bool:
        assert process.poll() is None, "nginx ended by itself"
        with suppress(OSError, http.client.HTTPException):
            return ask(port).status > 0
        return False

    try:
        wait_until(is_up, "an answer of nginx")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def service_behind_nginx(folder: Path) -> Iterator[Proxied]:
    (folder / "seen.py").write_text(SEEN, encoding="utf-8")
    config = folder / "qlmhook.toml"
    config.write_text(SETTINGS, encoding="utf-8")
    service, plain, prefixed = free_port(), free_port(), free_port()
    settings = CONFIGURATION.format(folder=folder, service=service, plain=plain, prefixed=prefixed)
    arguments = ("-m", "gunicorn", "--config", "python:qlmhook.web.gunicorn.settings", "--workers", "1")
    bind = ("--bind", f"127.0.0.1:{service}", "seen:app")
    with (
        running(*arguments, *bind, config=config, port=service, cwd=folder) as server,
        nginx(settings, folder, plain),
    ):
        yield Proxied(folder=folder, server=server, plain=plain, prefixed=prefixed)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """One for all tests that only send requests."""
    with service_behind_nginx(tmp_path_factory.mktemp("proxied")) as proxied:
        yield proxied


def send(
    port: int,
    target: str,
    body: bytes = b"",
    *,
    address: str = SHOP,
    headers: Mapping[str, str] = NOTHING,
    method: str = "POST",
) -> Answer:
    """Send a request from an address of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(address, 0))
    try:
        connection.request(method, target, body=body or None, headers={**FORM, **headers})
        response = connection.getresponse()
        return Answer(status=response.status, text=response.read().decode(), headers=dict(response.headers))
    finally:
        connection.close()


def seen(port: int, target: str, **headers: str) -> dict[str, Any]:
    """What the service takes a request for."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    page: dict[str, Any] = json.loads(send(port, target, method="GET", headers=sent).text)
    return page


def body_of(order: Order) -> bytes:
    return form_body(signed(order.fields(), KEY, ["sha3_256"]))


def is_receipted(answer: Answer, order: Order) -> bool:
    return answer.status == 200 and receipt_is_valid(answer.text, KEY, order.receipt_values(), "sha3_256")


def test_an_order_gets_its_receipt_through_it(proxied: Proxied) -> None:
    """At the root and under a prefix; a small one, one of a mebibyte, and one that comes in chunks."""
    small = Order()
    large = Order(lines=[Line(ref="")], extra=[(f"NOTE{number}", "x" * 65000) for number in range(16)])
    chunked = {"Transfer-Encoding": "chunked"}

    answers = [
        is_receipted(send(proxied.plain, f"{HANDLER}?{QUERY}", body_of(small)), small),
        is_receipted(send(proxied.prefixed, f"/licensing{HANDLER}?{QUERY}", body_of(small)), small),
        is_receipted(send(proxied.prefixed, f"/licensing{HANDLER}?{QUERY}", body_of(large)), large),
        is_receipted(_in_chunks(proxied.plain, f"{HANDLER}?{QUERY}", body_of(small), chunked), small),
    ]

    assert answers == [True] * 4


def _in_chunks(port: int, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        pieces = (body[place : place + 100] for place in range(0, len(body), 100))
        connection.request("POST", target, body=pieces, headers={**FORM, **headers}, encode_chunked=True)
        response = connection.getresponse()
        return Answer(status=response.status, text=response.read().decode(), headers=dict(response.headers))
    finally:
        connection.close()


def test_scheme_host_prefix_and_address_come_through(proxied: Proxied) -> None:
    """Without and with a prefix; where TLS ends at the proxy the scheme is https."""
    assert seen(proxied.plain, "/seen", Host="shop.example.com") == {
        "scheme": "http",
        "host": "shop.example.com",
        "prefix": "",
        "address": SHOP,
    }
    assert seen(proxied.prefixed, "/licensing/seen", Host="shop.example.com:8443") == {
        "scheme": "https",
        "host": "shop.example.com:8443",
        "prefix": "/licensing",
        "address": SHOP,
    }


def test_what_a_client_forwards_itself_does_not_count(proxied: Proxied) -> None:
    """Whether nginx replaces the client's X-Forwarded-For or adds to it."""
    forged = {
        "X_Forwarded_For": "192.0.2.1",
        "X_Forwarded_Proto": "gopher",
        "X_Forwarded_Host": "evil.example.com",
        "X_Forwarded_Prefix": "/evil",
    }

    assert seen(proxied.prefixed, "/licensing/seen", Host="shop.example.com", **forged) == {
        "scheme": "https",
        "host": "shop.example.com",
        "prefix": "/licensing",
        "address": SHOP,
    }


@pytest.mark.parametrize(
    ("address", "headers", "taken"),
    [
        pytest.param(SHOP, {}, True, id="the shop"),
        pytest.param(SHOP, {"X-Forwarded-For": STRANGER}, True, id="the shop, with a header of its own"),
        pytest.param(STRANGER, {}, False, id="a stranger"),
        pytest.param(STRANGER, {"X-Forwarded-For": SHOP}, False, id="a stranger who forges the header"),
        pytest.param(STRANGER, {"X-Forwarded-For": f"{SHOP}, {SHOP}"}, False, id="a stranger who forges two hops"),
        pytest.param(STRANGER, {"X-Real-IP": SHOP, "Forwarded": f"for={SHOP}"}, False, id="with other headers"),
    ],
)
def test_the_list_of_sources_holds_behind_it(
    proxied: Proxied, address: str, headers: Mapping[str, str], taken: bool
) -> None:
    """Both where nginx replaces the header and where it adds to it."""
    order = Order()
    targets = [(proxied.plain, HANDLER), (proxied.prefixed, f"/licensing{HANDLER}")]

    answers = [
        send(port, f"{path}?{GUARDED}", body_of(order), address=address, headers=headers) for port, path in targets
    ]

    assert [is_receipted(answer, order) for answer in answers] == [taken] * 2
    assert {answer.status for answer in answers} == ({200} if taken else {403})


def test_no_log_has_a_password(tmp_path: Path) -> None:
    """Neither nginx's logs nor the service's, for good and bad requests, nor when the service is away."""
    basic = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    requests: list[tuple[str, bytes, dict[str, str]]] = [
        (QUERY, body_of(Order()), {}),
        (QUERY.upper(), body_of(Order()), {}),
        (f"is_vendor=nobody&{QUERY.partition('&')[2]}", body_of(Order()), {}),
        (QUERY, b"REFNO=%zz", {}),
        (QUERY, b"&" * (1024 * 1024 + 1), {}),
        (QUERY, b"&" * (3 * 1024 * 1024), {}),
        ("is_vendor=avangate", body_of(Order()), {"Authorization": f"Basic {basic}"}),
        ("", b"", {"Referer": f"https://shop.example.com{HANDLER}?{QUERY}"}),
    ]
    spellings = [PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), quote(PASSWORD, safe="").upper(), basic]
    with service_behind_nginx(tmp_path) as proxied:
        for query, body, headers in requests:
            send(proxied.plain, f"{HANDLER}?{query}", body, headers=headers)
        proxied.server.stop()
        away = send(proxied.plain, f"{HANDLER}?{QUERY}", body_of(Order()))
        each = f"POST {HANDLER} HTTP/1.1"
        wait_until(lambda: proxied.logged.count(each) == len(requests) + 1, "a line for each request")
    logged = proxied.logged + proxied.server.output

    assert away.status == 502
    assert f'"POST {HANDLER} HTTP/1.0" 200' in proxied.server.output
    assert [text for text in spellings if text in logged] == []
