"""Which page a path leads to: the service's own first, whatever stands before their names, then those of plugins."""

from collections.abc import Callable, Mapping

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.routing import BaseConverter

from qlmhook.errors import ConfigurationError
from qlmhook.services.wiring import Service
from qlmhook.vendors.form_body import MAX_BODY
from qlmhook.web import monitoring
from qlmhook.web.error_answers import handle_errors
from qlmhook.web.plain_answers import plain
from qlmhook.web.webhook import webhook

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")

LOOKS: Mapping[str, Callable[[], Response]] = {
    "pinghttp": monitoring.ping,
    "healthz": monitoring.health,
    "readyz": monitoring.readiness,
    "metrics": monitoring.show_metrics,
}
"""The pages that are only looked at, by the last segment of their paths in lower case."""

WEBHOOK = "qlmwebhookhandler"


class AnyPath(BaseConverter):
    """Every path, empty segments included: a redirect would lose the vendor's POST."""

    regex = ".*?"
    part_isolating = False


def create_core(service: Service) -> Flask:
    """Make the application that finds a page by the last segment of the path, in any letter case."""
    pages = create_pages(service)
    app = _empty_app("qlmhook", service)

    @app.route("/<any_path:path>", methods=METHODS, provide_automatic_options=False)
    def dispatch(path: str) -> ResponseReturnValue:
        name = path.rstrip("/").rpartition("/")[2].lower()
        if name == WEBHOOK:
            return webhook()
        look = LOOKS.get(name)
        if look is None:
            return Response.from_app(pages.wsgi_app, request.environ)
        if request.method not in ("GET", "HEAD"):
            return plain("Only GET is possible here.", 405, {"Allow": "GET, HEAD"})
        return look()

    return app


def create_pages(service: Service) -> Flask:
    """Make an application of the plugins' blueprints; raises ConfigurationError for one that cannot be served.

    It is one of its own, so that nothing a blueprint does to its application reaches the service's pages.
    """
    app = _empty_app("qlmhook.web", service)
    for plugin, blueprint in service.plugins.blueprints():
        try:
            app.register_blueprint(blueprint)
        except Exception as error:
            raise ConfigurationError(f"The pages of the plugin {plugin!r} cannot be served: {error}") from error
    return app


def _empty_app(name: str, service: Service) -> Flask:
    """Make an application without pages that has the service and answers errors as all of them do."""
    app = Flask(name, static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY + 1  # one more, so that views can tell a longer one
    app.url_map.converters["any_path"] = AnyPath
    app.url_map.merge_slashes = False
    app.extensions["qlmhook"] = service
    handle_errors(app)
    return app
