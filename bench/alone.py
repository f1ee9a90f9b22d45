"""The service as it would be with a commit for each request: what sharing commits is measured against."""

from qlmhook.storage import turns
from qlmhook.web.app import create_app

turns.MOST = 1

app = create_app()
