"""How commands behave: without a configuration, at a port that is taken, on a terminal and in a pipe."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click
import pytest

from qlmhook import __version__
from qlmhook.cli import commands
from qlmhook.cli.listen_address import refuse_taken
from qlmhook.errors import QlmhookError
from qlmhook.inbox import notification_store
from qlmhook.licensing import licenses
from qlmhook.reports import listings
from qlmhook.storage import models
from qlmhook.vendors.commands import host_and_port
from tests.conftest import KEY, Configure, MailServer, OpenShop, Shop, free_port
from tests.plugins.avangate.orders import Order
from tests.support.server import PATIENCE, ROOT, command, command_in, command_on_a_terminal, without_settings

pytestmark = pytest.mark.sqlite
"""The commands do not know one engine from another."""


def test_the_version_is_told_without_loading_what_the_commands_need() -> None:
    """So at once."""
    script = """
import sys
from qlmhook.cli import main
try:
    main()
finally:
    print(*{"flask", "peewee", "urllib3"} & sys.modules.keys())
"""

    told = subprocess.run([sys.executable, "-c", script, "--version"], capture_output=True, text=True, check=True)

    assert told.stdout.splitlines() == [f"qlmhook, version {__version__}", ""]


class TestWithoutAConfiguration:
    """No file, and no variable QLMHOOK__…: nothing is guessed, and nothing is created."""

    @pytest.mark.parametrize(
        "arguments",
        [
            "serve",
            "worker",
            "doctor",
            "property list",
            "property set pid_1 ignore",
            "license list --json",
            "notification replay 1",
            "outbox run",
            "mail resend AAAAA",
        ],
    )
    def test_a_command_says_so_in_one_sentence(self, tmp_path: Path, arguments: str) -> None:
        """It names the file that it looked for, and the command that makes one."""
        finished = command_in(tmp_path, *arguments.split())

        assert (finished.returncode, finished.stdout) == (1, "")
        assert finished.stderr == (
            f"qlmhook: There is no configuration: {tmp_path / 'qlmhook.toml'} does not exist. Run this where "
            "qlmhook.toml is, name the file in QLMHOOK_CONFIG, or make one with `qlmhook init`.\n"
        )
        assert list(tmp_path.iterdir()) == []

    def test_so_does_the_module_of_gunicorn(self, tmp_path: Path) -> None:
        finished = subprocess.run(
            [sys.executable, "-c", "import wsgi"],
            cwd=tmp_path,
            env={**without_settings(), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

        assert finished.returncode == 1
        assert "There is no configuration: " in finished.stderr.splitlines()[-1]
        assert list(tmp_path.iterdir()) == []

    def test_init_is_all_that_a_command_asked_for(self, tmp_path: Path) -> None:
        finished = [command_in(tmp_path, *arguments.split()) for arguments in ("init", "license list")]

        assert [(each.returncode, each.stderr) for each in finished] == [(0, ""), (0, "")]

    def test_every_command_that_needs_none_is_told(self) -> None:
        """By the page of the commands."""
        page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
        [told] = re.findall(r"^Every command but (.*) reads the \[settings\]", page, flags=re.M)

        assert (
            set(re.findall(r"`(\w+)`", told))
            == {"demo", "init", "simulate"}
            <= set(commands.list_commands(click.Context(commands)))
        )


def listen(family: int, address: object, stack: ExitStack) -> socket.socket:
    listener = stack.enter_context(socket.socket(family))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)  # type: ignore[arg-type]
    listener.listen()
    return listener


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class TestATakenAddress:
    """One sentence at once; gunicorn alone would try five times, and print a traceback for each."""

    @pytest.mark.parametrize(
        ("taken", "wanted"),
        [
            ("127.0.0.1", "127.0.0.1:{}"),
            ("127.0.0.1", "0.0.0.0:{}"),
            ("0.0.0.0", "127.0.0.1:{}"),
            ("0.0.0.0", ":{}"),
            ("127.0.0.1", "localhost:{}"),
            ("127.0.0.1", "tcp://127.0.0.1:{}"),
        ],
    )
    def test_a_port_in_use(
        self, configure: Configure, tmp_path: Path, stack: ExitStack, taken: str, wanted: str
    ) -> None:
        """On one address, or on all."""
        configure()
        port = listen(socket.AF_INET, (taken, 0), stack).getsockname()[1]
        bind = wanted.format(port)

        finished = command(tmp_path / "qlmhook.toml", "serve", "--bind", bind)

        assert (finished.returncode, finished.stdout) == (1, "")
        assert finished.stderr == (
            f"qlmhook: Nothing can listen at {bind}: another program listens there already. Name another address with "
            "--bind.\n"
        )

    def test_a_socket_in_use_is_left_to_its_server(
        self, configure: Configure, tmp_path: Path, stack: ExitStack
    ) -> None:
        """gunicorn would put another in its place, and its server would get no request any more."""
        configure()
        path = tmp_path / "qlmhook.sock"
        listener = listen(socket.AF_UNIX, str(path), stack)
        inode = path.stat().st_ino

        finished = command(tmp_path / "qlmhook.toml", "serve", "--bind", f"unix:{path}")

        assert (finished.returncode, finished.stdout) == (1, "")
        assert f"Nothing can listen at unix:{path}: another program listens there already." in finished.stderr
        assert finished.stderr.count("\n") == 1
        assert (path.stat().st_ino, listener.fileno() > 0) == (inode, True)

    @pytest.mark.parametrize(
        ("bind", "complaint"),
        [
            ("unix:{folder}/file", "a file is there that is no socket"),
            ("unix:{folder}/nowhere/x.sock", "No such file or directory"),
            ("unix:{folder}/" + "x" * 200, "too long"),
            ("192.0.2.1:8000", "it is no address of this machine"),
        ],
        ids=["a file", "no folder", "a long path", "another machine"],
    )
    def test_an_address_that_nothing_can_listen_at(self, tmp_path: Path, bind: str, complaint: str) -> None:
        (tmp_path / "file").touch()
        bind = bind.format(folder=tmp_path)

        with pytest.raises(QlmhookError, match=complaint) as caught:
            refuse_taken(bind)

        assert str(caught.value).startswith(f"Nothing can listen at {bind}: ")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_an_ipv6_address_stands_in_brackets(self) -> None:
        assert host_and_port("[::1]:8000") == ("::1", 8000)

    @pytest.mark.parametrize("bind", ["127.0.0.1:{}", ":{}"])
    def test_a_free_address_is_free_afterwards(self, stack: ExitStack, bind: str) -> None:
        port = free_port()

        refuse_taken(bind.format(port))

        listen(socket.AF_INET, ("127.0.0.1", port), stack)

    def test_a_socket_that_a_server_left_behind_is_free(self, tmp_path: Path, stack: ExitStack) -> None:
        """And so is a place where there is none, which stays empty."""
        listen(socket.AF_UNIX, str(tmp_path / "old.sock"), stack).close()

        refuse_taken(f"unix:{tmp_path / 'old.sock'}")
        refuse_taken(f"unix://{tmp_path / 'new.sock'}")

        assert [path.name for path in tmp_path.iterdir()] == ["old.sock"]

    def test_the_stand_in_says_it_too(self, tmp_path: Path, stack: ExitStack) -> None:
        port = listen(socket.AF_INET, ("127.0.0.1", 0), stack).getsockname()[1]

        finished = command(
            tmp_path / "none.toml", "simulate", "idn-server", "--key", KEY, "--bind", f"127.0.0.1:{port}"
        )

        assert (finished.returncode, finished.stdout) == (1, "")
        assert finished.stderr.startswith(f"qlmhook: Nothing can listen at 127.0.0.1:{port}: another program listens")
        assert finished.stderr.count("\n") == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            "serve --bind 8000",
            "serve --bind 127.0.0.1:0",
            "serve --bind 127.0.0.1:65536",
            "serve --bind ::1:8000",
            "serve --bind bücher.example:8000",
            "serve --bind unix:",
            "simulate idn-server --key x --bind 8090",
            "simulate idn-server --key x --bind unix:x.sock",
        ],
    )
    def test_what_is_no_address_is_wrong_usage(self, tmp_path: Path, arguments: str) -> None:
        finished = command(tmp_path / "none.toml", *arguments.split())

        assert finished.returncode == 2
        assert "is not of the form HOST:PORT" in finished.stderr


LONG = "Product 101 has no mapping, and this sentence goes on for long until at its end it says what to do about it"


class TestTables:
    """What says how to go on is never cut, and in a pipe nothing is."""

    @pytest.fixture
    def shop(self, open_shop: OpenShop) -> Shop:
        """A shop with a long text in every column that can have one."""
        shop = open_shop()
        shop.map("101", f"&is_productid=1&is_majorversion=1&is_minorversion=0&is_productname={'long ' * 20}name")
        assert shop.post(Order().fields()).status_code == 200
        with shop.service.database.transaction():
            models.Notification.update(reason=LONG).execute()
            shop.service.alerts.tell(subject=f"subject {'long ' * 20}end", text="text", now=shop.clock())
            models.Outbox.update(last_error=f"{LONG} (error)", answer=f"{LONG} (answer)").execute()
        return shop

    @pytest.mark.parametrize(
        ("words", "texts"),
        [
            ("notification list", [LONG]),
            ("outbox list", [f"{LONG} (error)", f"{LONG} (answer)"]),
        ],
    )
    @pytest.mark.usefixtures("shop")
    def test_reasons_errors_and_answers_are_whole_on_a_terminal(
        self, tmp_path: Path, words: str, texts: list[str]
    ) -> None:
        shown = command_on_a_terminal(tmp_path / "qlmhook.toml", *words.split())

        assert [text for text in texts if text not in shown] == []

    @pytest.mark.parametrize(
        ("words", "text"),
        [
            ("license list", "long " * 20 + "name"),
            ("outbox list", f"subject {'long ' * 20}end"),
            ("property list", "long " * 20 + "name"),
        ],
    )
    @pytest.mark.usefixtures("shop")
    def test_other_columns_are_cut_on_a_terminal_alone(self, tmp_path: Path, words: str, text: str) -> None:
        config = tmp_path / "qlmhook.toml"

        assert text in command(config, *words.split()).stdout
        assert text not in command_on_a_terminal(config, *words.split())


class TestResend:
    """`mail resend` mails nothing that may not be used any more."""

    def test_a_revoked_license_is_refused_with_the_reason_and_what_to_do(
        self, open_shop: OpenShop, mail_server: MailServer, tmp_path: Path
    ) -> None:
        """The command that it names makes it possible."""
        shop = open_shop(mail__host="127.0.0.1", mail__port=str(mail_server.port))
        shop.map("101")
        shop.post(Order().fields())
        shop.service.delivery.work_off()
        config = tmp_path / "qlmhook.toml"
        with shop.service.database.reading():
            [license] = listings.licenses(now=shop.clock())
        key = license["key"]
        shop.service.decisions.decide(key, "revoke", why="Sold on.\nTwice.", operator="bob")

        refused = command(config, "mail", "resend", key)
        [named] = re.findall(r"`qlmhook ([^`]+)`", refused.stderr)
        reinstated = command(config, *named.split())
        resent = command(config, "mail", "resend", key)

        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == (
            f"qlmhook: The license {key} is revoked: Sold on. Twice. If the customer shall use it, give it back first: "
            f"`qlmhook license reinstate {key}`.\n"
        )
        assert (reinstated.returncode, resent.returncode) == (0, 0)
        with shop.service.database.reading():
            assert [row["kind"] for row in listings.outbox_rows()] == ["mail", "mail"]
            assert licenses.find(key).revoked_at is None


class TestBodies:
    """`notification show` shows what is no form."""

    @pytest.fixture
    def shop(self, shop: Shop) -> Shop:
        """A shop with one notification."""
        assert shop.post(Order().fields()).status_code == 200
        return shop

    @staticmethod
    def replace_body(shop: Shop, content_type: str, body: bytes) -> None:
        """Let the notification be what another shop sent."""
        with shop.service.database.transaction():
            models.Notification.update(content_type=content_type, body=body).execute()

    def shown(self, tmp_path: Path) -> tuple[list[str], object]:
        """What stands under the body's heading, and what the field of JSON has."""
        config = tmp_path / "qlmhook.toml"
        _, _, text = command(config, "notification", "show", "1").stdout.partition("\nbody (")
        [row] = json.loads(command(config, "notification", "show", "1", "--json").stdout)
        assert row["fields"] == []
        return text.splitlines()[1:], row["body"]

    def test_json_is_indented(self, shop: Shop, tmp_path: Path) -> None:
        body = '{"order": {"id": 7, "name": "Jörg\\u202e"}, "lines": [1]}'
        self.replace_body(shop, "application/json", body.encode())

        lines, field = self.shown(tmp_path)

        assert lines == [
            "  {",
            '    "order": {',
            '      "id": 7,',
            '      "name": "Jörg�"',
            "    },",
            '    "lines": [',
            "      1",
            "    ]",
            "  }",
        ]
        assert field == body

    @pytest.mark.parametrize(
        ("body", "lines"),
        [
            (b"<order>\n  <id>7</id>\n</order>", ["  <order>", "    <id>7</id>", "  </order>"]),
            (b"\x1b[31mred\x07 \xff", ["  �[31mred� �"]),
            (b'{"order": 7', ['  {"order": 7']),
            (b"[" * 100_000, ["  " + "[" * 100_000]),
            (b'"\\ud800"', ['  "�"']),
            (b"", []),
        ],
        ids=["XML", "unprintable", "broken JSON", "deep JSON", "half a character", "nothing"],
    )
    def test_other_text_is_shown_as_it_is_and_harms_no_terminal(
        self, shop: Shop, tmp_path: Path, body: bytes, lines: list[str]
    ) -> None:
        self.replace_body(shop, "application/xml", body)

        assert self.shown(tmp_path) == (lines, body.decode("utf-8", "replace"))

    @pytest.mark.usefixtures("shop")
    def test_a_form_is_shown_by_its_fields(self, tmp_path: Path) -> None:
        config = tmp_path / "qlmhook.toml"
        text = command(config, "notification", "show", "1").stdout
        [row] = json.loads(command(config, "notification", "show", "1", "--json").stdout)

        assert "\nfields:\n" in text
        assert "body" not in text
        assert (row["body"], ["REFNO", "900000001"] in row["fields"]) == (None, True)
        assert row["state"] in notification_store.STATES
