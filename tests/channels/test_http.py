"""The one HTTP request that tells a shop of a fulfilled order, against a real server on loopback."""

import ssl
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from qlmhook.channels import http
from qlmhook.errors import DeliveryFailed
from qlmhook.vendors.api import Answer
from tests.conftest import KEY, free_port
from tests.plugins.avangate.idn_peer import (
    PATH,
    IdnPeer,
    Treatment,
    answers_with,
    breaks_off,
    drips,
    hangs_up_before_taking,
    never_ends,
    stays_silent,
)

FIELDS = {"B": "2", "A": "1 + 1 = 2 & more", "EMPTY": "", "Ü": "Süß €"}

# Made for these tests, for the address 0.0.0.0, which leads to this machine and is not one of loopback; until 2120.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBaDCCAQ6gAwIBAgIBATAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAcwLjAuMC4w
MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjASMRAwDgYDVQQDDAcw
LjAuMC4wMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEzePSQ2Rc/IWg623Mc5fj
9VBfMbSPx5wz11w1/IzudPfcuiL/tAsf3GSSjVXtA9xCYJk+hB2lGHhm2BsyAEnL
qKNTMFEwDwYDVR0RBAgwBocEAAAAADAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB
/wQEAwIChDAdBgNVHQ4EFgQUsCcR+tmPAqemUtbcXIpmwEfmrLcwCgYIKoZIzj0E
AwIDSAAwRQIhAMRYynw9YPE10qEouZ6csAHIcdD8g4eD5zaTU8w5LwskAiAjNfr8
jIo4iBDaIa4wqKoHDFqPGYFIv46lGcTj0+OTsA==
-----END CERTIFICATE-----
"""
ITS_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgD3I0NjpI/phdme4y
7nEIjjiiJhG5TmIA8IfE9YGwmc+hRANCAATN49JDZFz8haDrbcxzl+P1UF8xtI/H
nDPXXDX8jO5099y6Iv+0Cx/cZJKNVe0D3EJgmT6EHaUYeGbYGzIAScuo
-----END PRIVATE KEY-----
"""


@pytest.fixture
def peer() -> Iterator[IdnPeer]:
    with IdnPeer(KEY) as peer:
        yield peer


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pem"
    path.write_text(CERTIFICATE + ITS_KEY, encoding="ascii")
    return path


@pytest.fixture
def tls_peer(certificate: Path) -> Iterator[IdnPeer]:
    """A server that proves to be 0.0.0.0 to those who trust its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with IdnPeer(KEY, tls=context) as peer:
        yield peer


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience, so that the tests need less, too."""
    monkeypatch.setattr(http, "READ_TIMEOUT", 0.3)
    monkeypatch.setattr(http, "DEADLINE", 0.5)


def refusal(url: str, *, allow_private: bool = False) -> DeliveryFailed:
    try:
        answer = http.post_form(url, FIELDS, allow_private=allow_private)
    except DeliveryFailed as error:
        return error.with_traceback(None)
    pytest.fail(f"it was answered: {answer}")


class TestExchange:
    def test_a_form_is_posted_with_its_fields_in_their_order(self, peer: IdnPeer) -> None:
        """To the host as the URL names it, which for a name is not the address that it leads to."""
        http.post_form(f"http://127.1:{peer.port}{PATH}?a=1&b=%20", FIELDS)

        [request] = peer.requests
        assert (request.method, request.target) == ("POST", f"{PATH}?a=1&b=%20")
        assert list(request.fields) == list(FIELDS.items())
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert request.headers["Host"] == f"127.1:{peer.port}"

    @pytest.mark.parametrize(
        ("treatment", "answer"),
        [
            (answers_with(b"<a>\r\n"), Answer(status=200, body="<a>\r\n")),
            (answers_with(b"", status=204), Answer(status=204, body="")),
            (answers_with("Größe".encode(), status=503), Answer(status=503, body="Größe")),
            (answers_with("Größe".encode("latin-1"), status=404), Answer(status=404, body="Gr\ufffd\ufffde")),
        ],
        ids=["a page", "nothing", "a failure", "no UTF-8"],
    )
    def test_the_answer_is_returned_whatever_it_is(self, peer: IdnPeer, treatment: Treatment, answer: Answer) -> None:
        peer.will(treatment)

        assert http.post_form(peer.url, FIELDS) == answer

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, peer: IdnPeer, status: int) -> None:
        peer.will(answers_with(b"", status=status, headers={"Location": peer.url}))

        answer = http.post_form(peer.url, FIELDS)

        assert answer.status == status
        assert len(peer.requests) == 1

    def test_the_environments_proxies_are_not_used(self, peer: IdnPeer, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with IdnPeer(KEY) as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

            http.post_form(peer.url, FIELDS)

        assert len(peer.requests) == 1
        assert proxy.requests == []


class TestNoAnswer:
    """It may be there later, so it is asked for again."""

    @pytest.mark.parametrize(
        ("treatment", "complaint"),
        [
            (stays_silent, "There was no answer: ReadTimeoutError"),
            (hangs_up_before_taking, "There was no answer: ProtocolError"),
            (breaks_off, "There was no answer: ProtocolError"),
            (lambda peer, received: [b"220 smtp.example.com ESMTP\r\n"], "There was no answer: ProtocolError"),
            (drips, "The answer is too long or too slow."),
            (never_ends, "The answer is too long or too slow."),
        ],
        ids=["silence", "hung up", "broken off", "another protocol", "drips", "never ends"],
    )
    @pytest.mark.usefixtures("hurried")
    def test_what_is_no_whole_answer_is_given_up_soon(
        self, peer: IdnPeer, treatment: Treatment, complaint: str
    ) -> None:
        peer.will(treatment)
        started = time.monotonic()

        error = refusal(peer.url)

        assert str(error).startswith(complaint)
        assert not error.permanent
        assert time.monotonic() - started < 5

    @pytest.mark.parametrize(("surplus", "is_taken"), [(0, True), (1, False)])
    def test_an_answer_has_a_largest_size(self, peer: IdnPeer, surplus: int, is_taken: bool) -> None:
        size = http.MAX_ANSWER + surplus
        peer.will(answers_with(b"x" * size))

        try:
            taken = len(http.post_form(peer.url, FIELDS).body) == size
        except DeliveryFailed:
            taken = False

        assert taken == is_taken

    def test_nobody_listens(self) -> None:
        error = refusal(f"http://127.0.0.1:{free_port()}/")

        assert str(error).startswith("There was no answer: NewConnectionError")
        assert not error.permanent

    def test_the_name_does_not_resolve(self) -> None:
        error = refusal("https://shop.example.invalid/order/idn.php")

        assert str(error).startswith("The name 'shop.example.invalid' cannot be resolved: ")
        assert not error.permanent


class TestAddress:
    @pytest.mark.parametrize(
        "url",
        [
            "http://192.0.2.1/order/idn.php",
            "http://8.8.8.8/order/idn.php",
            "http://10.0.0.1/order/idn.php",
            "http://[2001:db8::1]/order/idn.php",
            "ftp://127.0.0.1/order/idn.php",
        ],
    )
    def test_only_this_machine_is_talked_to_without_https(self, url: str) -> None:
        error = refusal(url, allow_private=True)

        assert str(error) == f"The URL {url!r} must begin with https://."
        assert error.permanent

    @pytest.mark.parametrize(
        ("host", "address"),
        [
            ("10.0.0.1", "10.0.0.1"),
            ("10.1", "10.0.0.1"),
            ("0x0a000001", "10.0.0.1"),
            ("172.16.0.1", "172.16.0.1"),
            ("192.168.1.1", "192.168.1.1"),
            ("100.64.0.1", "100.64.0.1"),
            ("169.254.169.254", "169.254.169.254"),
            ("0.0.0.0", "0.0.0.0"),
            ("192.0.2.1", "192.0.2.1"),
            ("[fd00::1]", "fd00::1"),
            ("[fe80::1]", "fe80::1"),
            ("[::ffff:a00:1]", "::ffff:a00:1"),
        ],
    )
    def test_an_address_of_a_private_network_is_refused_however_it_is_named(self, host: str, address: str) -> None:
        error = refusal(f"https://{host}/order/idn.php")

        assert str(error) == f"{host.strip('[]')} is {ip_address(address)}, an address of a private network."
        assert error.permanent


class TestCertificate:
    @pytest.mark.usefixtures("trusted")
    def test_a_private_address_is_posted_to_where_that_is_allowed(self, tls_peer: IdnPeer) -> None:
        tls_peer.will(answers_with(b"hello"))

        answer = http.post_form(f"https://0.0.0.0:{tls_peer.port}{PATH}", FIELDS, allow_private=True)

        assert answer == Answer(status=200, body="hello")
        assert [request.headers["Host"] for request in tls_peer.requests] == [f"0.0.0.0:{tls_peer.port}"]

    def test_one_that_is_not_trusted_is_no_answer(self, tls_peer: IdnPeer) -> None:
        error = refusal(f"https://0.0.0.0:{tls_peer.port}{PATH}", allow_private=True)

        assert "certificate verify failed: self-signed certificate" in str(error)
        assert tls_peer.requests == []
        assert not error.permanent

    @pytest.mark.usefixtures("trusted")
    def test_one_of_another_host_is_no_answer(self, tls_peer: IdnPeer) -> None:
        error = refusal(tls_peer.url)

        assert str(error).startswith("There was no answer: SSLError: ")
        assert "'127.0.0.1'" in str(error)
        assert tls_peer.requests == []

    def test_a_server_without_tls_is_no_answer(self, peer: IdnPeer) -> None:
        error = refusal(f"https://127.0.0.1:{peer.port}/")

        assert "SSLError" in str(error)
        assert peer.requests == []
