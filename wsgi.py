"""The WSGI entry point: `gunicorn wsgi:app`."""

from qlmhook.web.app import create_app

app = create_app()
