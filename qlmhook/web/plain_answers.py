"""What every page needs: the running service, and an answer of plain text."""

from collections.abc import Mapping

from flask import Response, current_app

from qlmhook.services.wiring import Service


def service() -> Service:
    """Return the running service."""
    running = current_app.extensions["qlmhook"]
    assert isinstance(running, Service)
    return running


def plain(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return one sentence as plain text."""
    return Response(text + "\n", status=status, headers=headers, content_type="text/plain; charset=utf-8")
