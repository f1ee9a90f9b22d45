"""`gunicorn wsgi:app` in this folder runs with the settings of `qlmhook serve`."""

from qlmhook.web.gunicorn.settings import *  # noqa: F403
