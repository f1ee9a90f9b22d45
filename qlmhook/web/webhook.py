"""HTTP in, HTTP out."""

import contextlib
import logging
from collections.abc import Mapping

from flask import Blueprint, Response, current_app, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import BaseConverter

from qlmhook import errors
from qlmhook.services.deliver import ALIVE_FOR
from qlmhook.services.receive import Credentials
from qlmhook.services.wiring import Service
from qlmhook.storage import models
from qlmhook.vendors.api import Notification
from qlmhook.vendors.form import FORM, MAX_BODY, parse_form
from qlmhook.web import metrics

logger = logging.getLogger(__name__)

ENDPOINT = "qlmwebhookhandler"
PING = "pinghttp"

STATUS: Mapping[type[errors.QlmhookError], int] = {
    errors.MalformedNotification: 400,
    errors.WrongCredentials: 401,
    errors.SignatureRejected: 403,
    errors.VendorDisabled: 403,
    errors.SourceRefused: 403,
    errors.UnknownVendor: 404,
    errors.TooLarge: 413,
    errors.UnsupportedContent: 415,
    errors.Unavailable: 503,
}
"""4xx: not from the vendor, or not to be understood. 503: our fault, send again."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")

web = Blueprint("web", __name__)


class AnyPath(BaseConverter):
    """Every path, empty segments included: a redirect would lose the vendor's POST."""

    regex = ".*?"
    part_isolating = False


def service() -> Service:
    """Return the running service."""
    running = current_app.extensions["qlmhook"]
    assert isinstance(running, Service)
    return running


@web.route("/<any_path:path>", methods=METHODS, provide_automatic_options=False)
def dispatch(path: str) -> Response:
    """Find the endpoint by the last segment of the path, whatever stands before it, in any letter case."""
    name = path.rstrip("/").rpartition("/")[2].lower()
    pages = {
        ENDPOINT: webhook,
        PING: ping,
        "healthz": health,
        "readyz": readiness,
        "metrics": show_metrics,
    }
    page = pages.get(name)
    if page is None:
        return _text("There is nothing here.", 404)
    if page is not webhook and request.method not in ("GET", "HEAD"):
        return _text("Only GET is possible here.", 405, {"Allow": "GET, HEAD"})
    return page()


def webhook() -> Response:
    """Answer a vendor's notification; a GET is the vendor's look whether the URL is there."""
    if request.method in ("GET", "HEAD"):
        return _text("qlmhook is here. Notifications are taken by POST.", 200)
    if request.method != "POST":
        return _text("Notifications are taken by POST.", 405, {"Allow": "GET, HEAD, POST"})
    arguments = _arguments()
    vendor_name, credentials = arguments.pop("is_vendor", ""), _credentials(arguments)
    account = service().intake.admit(vendor_name, credentials, source=request.remote_addr or "")
    content_type = request.mimetype
    if content_type not in account.vendor.content_types:
        raise errors.UnsupportedContent(f"The content type must be {' or '.join(account.vendor.content_types)}.")
    body = _body()
    notification = Notification(
        content_type=content_type,
        body=body,
        fields=parse_form(body) if content_type == FORM else (),
        headers={name: value for name, value in request.headers.items() if name != "Authorization"},
        arguments=arguments,
        received_at=service().clock(),
    )
    reply = service().intake.receive(account, notification)
    return Response(reply.body, status=reply.status, content_type=reply.content_type)


def ping() -> Response:
    """QLM's PingHttp. Source: QLM, "PingHttp"."""
    now = service().clock()
    body = (
        '<?xml version="1.0" encoding="utf-8"?>\n<QuickLicenseManager><result>OK</result>'
        f"<serverDate>{now:%Y-%m-%dT%H:%M:%SZ}</serverDate>"
        f"<serverVersion>qlmhook</serverVersion></QuickLicenseManager>\n"
    )
    return Response(body, content_type="text/xml; charset=utf-8")


def health() -> Response:
    """The process answers."""
    return _text("ok", 200)


def readiness() -> Response:
    """The database takes a writer, and an outbox worker is alive."""
    now = service().clock()
    service().database.write_nothing()
    with service().database.reading():
        alive = models.Heartbeat.select().where(models.Heartbeat.at > now - ALIVE_FOR).exists()
    if not alive:
        return _text("No outbox worker is alive: mails are not going out.", 503)
    return _text("ready", 200)


def show_metrics() -> Response:
    """Prometheus' text format."""
    return Response(generate_latest(metrics.registry(service())), content_type=CONTENT_TYPE_LATEST)


@web.app_errorhandler(errors.QlmhookError)
def answer_error(error: errors.QlmhookError) -> Response:
    """Answer with the status of the error's type; our own faults are logged, and say nothing of the inside."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 503)
    if status >= 500:
        logger.error("%s %s is answered with %s: %s", request.method, ascii(request.path), status, error)
        return _text("The service cannot take this now. Send it again later.", status, {"Retry-After": "60"})
    service().refusals.count(type(error).__name__)
    logger.warning(
        "%s %s from %s is refused (%s): %s", request.method, ascii(request.path), request.remote_addr, status, error
    )
    headers = {"WWW-Authenticate": 'Basic realm="qlmhook"'} if status == 401 else {}
    return _text(str(error), status, headers)


@web.app_errorhandler(Exception)
def answer_surprise(error: Exception) -> Response:
    """Whatever we did not foresee is our fault: the vendor shall send again."""
    if isinstance(error, HTTPException):
        return _text(error.name, error.code or 500)
    logger.exception("%s %s met an error", request.method, ascii(request.path))
    return _text("The service cannot take this now. Send it again later.", 503, {"Retry-After": "60"})


def _arguments() -> dict[str, str]:
    """Return the URL's arguments, names in lower case; one that decides something may not be repeated."""
    arguments: dict[str, str] = {}
    for name, values in request.args.lists():
        key = name.lower().lstrip("?")
        if key in arguments or len(values) > 1:
            raise errors.MalformedNotification(f"The URL gives {key[:40]!a} more than once.")
        arguments[key] = values[0]
    return arguments


def _credentials(arguments: dict[str, str]) -> Credentials:
    """Take user and password out of the URL's arguments, or from HTTP Basic when the URL has neither."""
    user, password = arguments.pop("is_user", None), arguments.pop("is_pwd", None)
    if user is None and password is None:
        with contextlib.suppress(ValueError):  # a header that is no Basic authorization
            if request.authorization is not None:
                user, password = request.authorization.username, request.authorization.password
    return Credentials(user=user or "", password=password or "")


def _body() -> bytes:
    too_large = errors.TooLarge(f"The body is over {MAX_BODY} bytes.")
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise too_large from None
    except Exception:  # each server has its own errors for a body that it cannot read
        raise errors.MalformedNotification("The body breaks off.") from None
    if len(body) > MAX_BODY:  # a chunked body is cut off at the limit without an error
        raise too_large
    if request.content_length is not None and len(body) < request.content_length:
        raise errors.MalformedNotification("The body breaks off.")
    return body


def _text(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(text + "\n", status=status, headers=headers, content_type="text/plain; charset=utf-8")
