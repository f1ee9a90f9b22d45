"""How errors are answered: by the status of their class, in one sentence without a word of the inside."""

import logging

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, NotFound

from qlmhook.errors import QlmhookError
from qlmhook.web.plain_answers import plain, service

logger = logging.getLogger(__name__)

TRY_AGAIN = "The service cannot take this now. Send it again later."


def handle_errors(app: Flask) -> None:
    """Let an application answer errors so."""
    app.register_error_handler(QlmhookError, answer_error)
    app.register_error_handler(HTTPException, answer_http)
    app.register_error_handler(Exception, answer_surprise)


def answer_error(error: QlmhookError) -> Response:
    """Answer with the status of the error's class; our own faults are logged, and say nothing of the inside."""
    if error.status >= 500:
        logger.error("%s %s is answered with %s: %s", request.method, ascii(request.path), error.status, error)
        return plain(TRY_AGAIN, error.status, {"Retry-After": "60"})
    service().refusals.count(type(error).__name__)
    logger.warning(
        "%s %s from %s is refused (%s): %s",
        request.method,
        ascii(request.path),
        request.remote_addr,
        error.status,
        error,
    )
    headers = {"WWW-Authenticate": 'Basic realm="qlmhook"'} if error.status == 401 else {}
    return plain(str(error), error.status, headers)


def answer_http(error: HTTPException) -> ResponseReturnValue:
    """Answer what Flask itself, or a page, says; a page may bring a response of its own."""
    if error.response is not None:
        return error.response
    return plain("There is nothing here." if isinstance(error, NotFound) else error.name, error.code or 500)


def answer_surprise(error: Exception) -> Response:
    """Whatever we did not foresee is our fault: the vendor shall send again."""
    logger.exception("%s %s met an error", request.method, ascii(request.path))
    return plain(TRY_AGAIN, 503, {"Retry-After": "60"})
