"""What the service is compared with: Flask that reads the same form and answers 200, and does nothing else."""

from flask import Flask, Response, request

ANSWER = f'<sig algo="sha3-256" date="20260101120000">{"0" * 64}</sig>\n'

app = Flask("bare", static_folder=None)


@app.post("/<path:anything>")
def take(anything: str) -> Response:
    """Read the form; the answer is as long as a receipt."""
    status = 200 if request.form.get("REFNO") else 400
    return Response(ANSWER, status=status, content_type="text/xml; charset=utf-8")


@app.get("/healthz")
def health() -> str:
    """The process answers."""
    return "ok\n"
