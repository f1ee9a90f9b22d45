"""The vendors' requests: an HTTP request becomes a notification, and its receipt an answer."""

import contextlib

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from qlmhook import errors
from qlmhook.services.receive import Credentials
from qlmhook.vendors.api import Notification
from qlmhook.vendors.form_body import FORM, MAX_BODY, parse_form
from qlmhook.web.plain_answers import plain, service


def webhook() -> Response:
    """Answer a vendor's notification; a GET is the vendor's look whether the URL is there."""
    if request.method in ("GET", "HEAD"):
        return plain("qlmhook is here. Notifications are taken by POST.", 200)
    if request.method != "POST":
        return plain("Notifications are taken by POST.", 405, {"Allow": "GET, HEAD, POST"})
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
