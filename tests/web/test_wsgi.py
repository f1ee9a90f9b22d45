"""Under gunicorn: the module wsgi.py, and the access log of `qlmhook serve`."""

from pathlib import Path

import pytest

from tests.conftest import KEY, URL, Configure, free_port
from tests.plugins.avangate.orders import Order
from tests.plugins.avangate.signer import form_body, receipt_is_valid, signed
from tests.support.server import ROOT, running, serving

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

ORDER = Order()
BODY = form_body(signed(ORDER.fields(), KEY, ["sha3_256"]))


def test_gunicorn_serves_the_module_wsgi(configure: Configure, tmp_path: Path) -> None:
    """In the repository's folder, with the settings that QLMHOOK_CONFIG names, it receipts a signed order."""
    configure()
    port = free_port()
    arguments = ("-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "wsgi:app")

    with running(*arguments, config=tmp_path / "qlmhook.toml", port=port, cwd=ROOT) as server:
        answer = server.post(BODY)

    assert receipt_is_valid(answer.text, KEY, ORDER.receipt_values(), "sha3_256")


def test_the_access_log_names_the_path_without_the_query_string(configure: Configure, tmp_path: Path) -> None:
    """It is the query string that carries is_pwd."""
    configure()

    with serving(tmp_path / "qlmhook.toml") as server:
        server.post(BODY)

    assert f'"POST {URL} HTTP/1.1" 200' in server.output
    assert "is_user" not in server.output
