"""`gunicorn wsgi:app` in this folder runs with the settings of `qlmhook serve`."""

from qlmhook.gunicorn_conf import *  # noqa: F403
