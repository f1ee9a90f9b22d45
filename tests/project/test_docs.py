"""The documentation: nothing that an operator can use is missing from it, and what it shows works."""

import inspect
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import pytest
from marshmallow import Schema, fields, missing
from prometheus_client.parser import text_string_to_metric_families
from qlmhook_avangate import ipn, lcn
from qlmhook_avangate.vendor import _SettingsSchema as AvangateSchema

from qlmhook import config, errors
from qlmhook.catalog import parser
from qlmhook.catalog.arguments import ALIASES, ARGUMENTS
from qlmhook.channels.mail import variables
from qlmhook.cli import commands
from qlmhook.config import CONFIG_VARIABLE, ENVIRONMENT_PREFIX, load_settings
from qlmhook.domain import purchases
from qlmhook.domain.events import EventKind
from qlmhook.inbox import notification_store
from qlmhook.licensing import licenses
from qlmhook.outbox import queue
from qlmhook.reports import listings
from qlmhook.storage import models
from qlmhook.storage.license_status import STATUSES
from qlmhook.vendors import accounts, form_body
from qlmhook.vendors.loader import Plugins
from tests.conftest import Configure, Shop
from tests.plugins.avangate.orders import Order

pytestmark = pytest.mark.sqlite
"""The documentation is the same for every engine."""


ROOT = Path(__file__).parents[2]
PAGES = {path.name: path for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.M | re.S)


@cache
def page(name: str) -> str:
    return PAGES[name].read_text(encoding="utf-8")


@cache
def prose(name: str) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page(name))


def blocks(name: str, language: str) -> list[str]:
    """The blocks of code of a page in one language."""
    return [text for found, text in FENCE.findall(page(name)) if found == language]


@cache
def sections(name: str) -> dict[str, str]:
    """The text under each heading of a page, up to the next heading, without blocks of code."""
    _, *parts = re.split(r"^#+ (.+)$", prose(name), flags=re.M)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def table(name: str, heading: str) -> list[list[str]]:
    """The rows of the tables in a section, without their heads."""
    lines = sections(name)[heading].splitlines()
    is_body, rows = False, []
    for line in lines:
        if not line.startswith("|"):
            is_body = False
        elif re.fullmatch(r"[|-]+", line):
            is_body = True
        elif is_body:
            rows.append(cells(line))
    return rows


def named(cell: str) -> list[str]:
    """The names in a cell, which stand in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def first_names(name: str, heading: str) -> list[str]:
    """The names in the first column of a section's tables."""
    return [text for row in table(name, heading) for text in named(row[0])]


# The two lines at the top


def test_the_readme_begins_with_a_line_for_the_demo_and_one_for_the_tests() -> None:
    """Whoever pastes one needs Python and nothing else, not even an activated environment."""
    [block] = blocks("README.md", "sh")
    demo, tests = block.splitlines()
    programs = [step.split()[0] for line in (demo, tests) for step in line.split(" && ")]

    assert page("README.md").partition(block)[0].count("\n") < 12
    assert programs == ["python3", "venv/bin/pip", "venv/bin/qlmhook", "python3", "venv/bin/pip", "venv/bin/pytest"]
    assert shlex.split(demo)[-5:] == ["install", ".", "&&", "venv/bin/qlmhook", "demo"]
    assert shlex.split(tests)[-4:] == ["-e", ".[test]", "&&", "venv/bin/pytest"]
    assert "venv/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_what_a_change_must_pass_runs_these_lines_and_no_others() -> None:
    """.ci/run reads them, with the command that stands in it."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    [command] = re.findall(r"^mapfile -t lines < <\((.+)\)$", script, flags=re.M)
    read = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert [read] == blocks("README.md", "sh")
    assert 'bash -euc "${line/#python3/${PYTHON:-python3}}"' in script
    assert [word for word in ("pip install", "-m venv", "demo", "pytest") if word in script] == []


# Commands


def below(group: click.Group) -> dict[str, click.Command]:
    """The commands of a group, with those that plugins bring."""
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command}


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in below(command).items():
            yield from walk(inner, f"{path} {name}")


COMMANDS = dict(walk(commands, "qlmhook"))


def test_every_command_has_its_heading_and_every_heading_is_a_command() -> None:
    headings = [heading for heading in sections("commands.md") if heading.startswith("`")]

    assert sorted(headings) == sorted(f"`{path}`" for path in COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_of_a_command_is_explained(path: str) -> None:
    """In a table's row, or for the whole of qlmhook in the text."""
    options = {
        text for parameter in COMMANDS[path].params if isinstance(parameter, click.Option) for text in parameter.opts
    }
    rows = {text.split()[0] for text in first_names("commands.md", f"`{path}`") if text.startswith("--")}
    told = rows if path != "qlmhook" else set(re.findall(r"--(?!help)\w+", sections("commands.md")["`qlmhook`"]))

    assert told == options


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if not isinstance(command, click.Group)])
def test_the_arguments_of_a_command_are_shown(path: str) -> None:
    arguments = [parameter for parameter in COMMANDS[path].params if isinstance(parameter, click.Argument)]
    required = [text for text in first_names("commands.md", f"`{path}`") if text in requirements(path)]
    words = [str(argument.metavar or argument.name).upper().replace("...", "…") for argument in arguments]
    usage = " ".join([path, *words, *required])

    assert not words or f"`{usage}`" in sections("commands.md")[f"`{path}`"]


def requirements(path: str) -> list[str]:
    """The options that a command must be given, as the page writes them."""
    needed = {parameter.opts[0] for parameter in COMMANDS[path].params if parameter.required}
    rows = first_names("commands.md", f"`{path}`")
    return [text for text in rows if text.split()[0] in needed]


def shown_commands() -> list[tuple[str, list[str]]]:
    """The command lines of qlmhook in all pages, without what runs them as another user or in a container."""
    found = []
    for name in PAGES:
        for block in blocks(name, "console"):
            for line in re.findall(r"^\$ (.+)$", block.replace("\\\n", " "), flags=re.M):
                for runner in ("sudo -iu qlmhook ", "podman exec qlmhook ", ""):
                    if line.startswith(f"{runner}qlmhook "):
                        found.append((name, shlex.split(line.removeprefix(runner))[1:]))
                        break
    return found


def resolve(arguments: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = commands
    while isinstance(command, click.Group) and arguments and arguments[0] in below(command):
        command, arguments = below(command)[arguments[0]], arguments[1:]
    return command, arguments


@pytest.mark.parametrize(("name", "arguments"), shown_commands(), ids=lambda value: " ".join(value)[:60])
def test_a_command_that_is_shown_can_be_called_so(
    name: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its subcommand exists, and its options and arguments are accepted; it is not run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "properties.json").touch()
    command, rest = resolve(arguments)

    assert not isinstance(command, click.Group)
    with command.make_context(name, list(rest)):
        pass


@pytest.mark.parametrize("name", PAGES)
def test_a_command_that_is_mentioned_exists(name: str) -> None:
    for text in re.findall(r"`qlmhook ([^`]+)`", prose(name)):
        command, rest = resolve(text.split())

        assert not isinstance(command, click.Group) or not rest or rest[0].startswith("-"), text


# Settings

PLACES = {"vendors": "avangate", "endpoints": "NAME"}
"""What the page writes for a name that the operator chooses."""


def settings_of(schema: Schema, prefix: str = "") -> Iterator[tuple[str, fields.Field[Any]]]:
    """Every setting of a schema and of those inside it, by its dotted name."""
    for name, field in schema.fields.items():
        inner = field.value_field if isinstance(field, fields.Dict) else field
        if isinstance(inner, fields.Nested):
            chosen = f".{PLACES[name]}" if isinstance(field, fields.Dict) else ""
            yield from settings_of(inner.schema, f"{prefix}{name}{chosen}.")
        else:
            yield f"{prefix}{name}", field


SETTINGS = dict(settings_of(config._SettingsSchema())) | dict(settings_of(AvangateSchema(), "vendors.avangate."))


def written(value: object) -> str:
    """A default as TOML writes it."""
    if value is None:
        return '""'
    if isinstance(value, bool | int | str | list):
        return json.dumps(value)
    return json.dumps(str(value))  # a time zone


def test_every_setting_has_its_heading_and_every_heading_is_a_setting() -> None:
    headings = [heading for heading in sections("settings.md") if heading.startswith("`")]

    assert sorted(headings) == sorted(f"`{name}`" for name in SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_default_of_a_setting_is_told(name: str) -> None:
    default = SETTINGS[name].load_default
    [told] = re.findall(r"^Default: `([^`]*)`", sections("settings.md")[f"`{name}`"], flags=re.M)

    assert default is not missing
    assert told == written(default() if callable(default) else default)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_environment_form_of_a_setting_is_told_and_loads(name: str, tmp_path: Path) -> None:
    """The name is the setting's, and the value in the example is one that it takes."""
    [variable, value] = re.findall(r"Environment:\s+`(\w+)=([^`]*)`", sections("settings.md")[f"`{name}`"])[0]
    (tmp_path / "qlmhook.toml").touch()
    environ = {
        CONFIG_VARIABLE: str(tmp_path / "qlmhook.toml"),
        variable: value.replace("/etc/qlmhook/templates", str(tmp_path)),
    }
    for other in ("USER", "PASSWORD"):  # which are set together
        environ.setdefault(f"{ENVIRONMENT_PREFIX}VENDORS__AVANGATE__{other}", "qlmhook")
    settings = load_settings(environ)

    assert variable == f"{ENVIRONMENT_PREFIX}{name.replace('.', '__').upper()}"
    assert list(accounts.load_accounts(settings.vendors, Plugins()))


@pytest.mark.parametrize(
    ("name", "block"),
    [(name, block) for name in PAGES if name != "plugins.md" for block in blocks(name, "toml")],
    ids=lambda value: value.strip().partition("\n")[0],
)
def test_every_example_of_a_configuration_loads(name: str, block: str, tmp_path: Path) -> None:
    """The core takes it, and so do the plugins that it names."""
    path = tmp_path / "qlmhook.toml"
    path.write_text(block, encoding="utf-8")
    settings = load_settings({CONFIG_VARIABLE: str(path)})
    loaded = list(accounts.load_accounts(settings.vendors, Plugins()))

    assert {account.name for account in loaded} == set(tomllib.loads(block).get("vendors", {}))


# Server properties

EXAMPLES = {row[0].strip("`"): row[1].strip("`") for row in table("properties.md", "Arguments")}


def test_every_argument_of_the_vocabulary_has_its_row() -> None:
    assert list(EXAMPLES) == list(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_example_of_an_argument_is_a_value_that_it_takes(name: str) -> None:
    """A property can be set with it, and keeps it as it is shown."""
    nothing: dict[str, str] = {}
    checked = parser.check("common", f"&{name}={EXAMPLES[name]}", nothing.get)

    assert (checked.arguments, checked.warnings) == ({name: EXAMPLES[name]}, [])
    assert ARGUMENTS[name].read(EXAMPLES[name]) not in (None, "", ())


def test_every_other_spelling_of_an_argument_has_its_row() -> None:
    rows = table("properties.md", "Other spellings")

    assert {row[0].strip("`"): row[1].strip("`") for row in rows} == ALIASES


def shown_properties() -> dict[str, str]:
    """The properties that the pages set and import, by name in lower case."""
    found = {}
    for _, arguments in shown_commands():
        if arguments[:2] == ["property", "set"]:
            found[arguments[2].lower()] = arguments[3]
    for name in PAGES:
        for block in blocks(name, "json"):
            found |= {key.lower(): value for key, value in json.loads(block).items()}
    return found


@pytest.mark.parametrize("name", shown_properties())
def test_a_property_that_is_shown_can_be_set_without_a_warning(name: str) -> None:
    shown = shown_properties()
    checked = parser.check(parser.checked_name(name), shown[name], shown.get)

    assert checked.warnings == []


def test_the_formula_of_activations_is_what_is_issued(shop: Shop) -> None:
    """Each row of the table, as an order of three."""
    [line] = Order().lines
    rows = [row for row in table("properties.md", "How many activations") if len(row) == 3]
    base = "&is_productid=1&is_majorversion=1&is_minorversion=0"
    for number, row in enumerate(rows):
        refno, pid = f"90000001{number}", f"50{number}"
        shop.map(pid, "&".join([base, *named(row[0])]))
        ordered = type(line)(pid=pid, quantity="3", ref=f"BBBBBBBBB{number}")
        assert shop.post(Order(refno=refno, lines=[ordered]).fields()).status_code == 200
        with shop.service.database.reading():
            issued = [row["activations"] for row in listings.licenses(now=shop.clock(), order=refno)]

        assert issued == [int(row[2])] * int(row[1]), row[0]

    assert len(rows) == 5


def test_the_quantity_that_is_held_is_told() -> None:
    told = f"over {purchases.MAX_QUANTITY:,}, or over {purchases.MAX_KEYS:,} with one key for each unit"

    assert told in sections("properties.md")["How many activations"]


# Mail templates


@pytest.fixture
def issued(shop: Shop) -> models.License:
    """A license from a signed order."""
    shop.map("101")
    assert shop.post(Order().fields()).status_code == 200
    with shop.service.database.reading():
        [row] = listings.licenses(now=shop.clock())
        return licenses.find(row["key"])


def test_every_mail_variable_has_its_row(shop: Shop, issued: models.License) -> None:
    """In the table of those that are filled, or of those that never are."""
    rows = table("mail-templates.md", "Variables")
    filled = [row[0].strip("`") for row in rows if not set(named(row[0])) <= set(variables._NEVER_FILLED)]
    empty = [text for row in rows for cell in row for text in named(cell) if text in variables._NEVER_FILLED]
    with shop.service.database.reading():
        known = variables.of_license(issued, "1", shop.service.accounts.named("avangate").vendor.timezone)

    assert sorted(empty) == sorted(variables._NEVER_FILLED)
    assert sorted(filled) == sorted(set(known) - set(empty))


def test_every_built_in_template_has_its_row() -> None:
    built_in = {Path(file.name).stem for file in files("qlmhook.channels.mail").joinpath("templates").iterdir()}

    assert set(first_names("mail-templates.md", "Built-in templates")) == built_in


@pytest.mark.parametrize("text", blocks("mail-templates.md", "text"), ids=["one", "several"])
def test_an_example_of_a_template_knows_all_its_variables(
    shop: Shop, issued: models.License, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "Mine.txt").write_text(text, encoding="utf-8")
    with shop.service.database.reading():
        item = variables.of_license(issued, "1", shop.service.accounts.named("avangate").vendor.timezone)
    rendered = type(shop.service.templates)(tmp_path).render("Mine", [item])

    assert item["ActivationKey"] in rendered.text
    assert "%" not in rendered.subject + rendered.text
    assert caplog.records == []


# What an event does to a license


def test_every_status_has_its_row_in_their_order() -> None:
    """The first that applies stands first."""
    assert first_names("license-states.md", "Status") == list(reversed(STATUSES))


def test_every_word_of_2checkout_is_in_the_row_of_its_event() -> None:
    told = {row[0]: set(named(row[1])) for row in table("license-states.md", "What 2Checkout calls them")}
    for words in (ipn.STATUS_EVENTS, ipn.CHARGEBACK_EVENTS):
        for word, kind in words.items():
            assert word in told[kind.value]

    assert list(told) == [kind.value for kind in EventKind]


def test_every_state_of_a_subscription_that_decides_something_is_told() -> None:
    told = sections("license-states.md")["Subscriptions (LCN)"]
    words = {
        "PAST DUE" if word == "PASTDUE" else word for word in lcn.STOPPED | lcn.PAUSED | lcn.EXPIRED | lcn.PAST_DUE
    }

    assert {word for word in words - {"CANCELLED"} if f"`{word}`" not in told} == set()


# 2Checkout's fields


def tags(heading: str) -> set[str]:
    return {text.removesuffix("[]") for text in first_names("2checkout.md", heading)}


def test_every_field_of_an_ipn_that_is_read_is_told() -> None:
    read = (
        set(ipn.IpnSchema().fields)
        | set(ipn.CUSTOMER_FIELDS.values())
        | {"IPN_PRODUCT_OPTIONS", "IPN_TOTALGENERAL", "CURRENCY"}
    )

    assert tags("What qlmhook reads") == read


def test_every_field_of_an_lcn_that_is_read_is_told() -> None:
    of_customer = {*lcn.CUSTOMER_FIELDS.values(), *lcn.OTHER_SPELLINGS.values()}

    assert tags("8. LCN: changes of subscriptions") == set(lcn.LcnSchema().fields) | of_customer


def test_the_tags_to_tick_are_all_that_is_read() -> None:
    """The set of QLM's page and the ones that help."""
    ticked = {
        text.removesuffix("[]") for row in table("2checkout.md", "The set of QLM's page") for text in named(row[1])
    }
    forced = {"IPN_PID", "IPN_PNAME", "IPN_DATE"}

    assert tags("What qlmhook reads") - ticked - tags("Tick these, too") == forced


# HTTP


def test_every_error_has_its_row_with_its_status() -> None:
    rows = table("http.md", "Answers")
    told = {row[1].strip("`"): int(row[0]) for row in rows if row[1]}

    kinds = {kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.Refused)}
    assert told == {kind.__name__: kind.status for kind in (kinds - {errors.Refused}) | {errors.Unavailable}}


def test_every_way_to_write_the_endpoint_answers(shop: Shop) -> None:
    paths = blocks("http.md", "text")[0].split()

    assert {path: shop.client.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)


def test_every_other_path_is_one(shop: Shop) -> None:
    """503 is readiness without a worker."""
    paths = [path for path in first_names("http.md", "Other paths") if path.startswith("/")]
    told = {path: shop.client.get(path).status_code for path in paths}

    assert told == {"/healthz": 200, "/readyz": 503, "/metrics": 200, "/PingHttp": 200}


def test_the_limits_are_those_of_the_program() -> None:
    most = f"at most {form_body.MAX_BODY >> 20} MiB, {form_body.MAX_FIELDS:,} fields"
    told = f"{most} and {form_body.MAX_VALUE >> 10} KiB for each value"

    assert told in sections("http.md")["The endpoint"]


def test_every_metric_has_its_row_with_its_labels(shop: Shop, issued: models.License) -> None:
    assert shop.client.post("/QlmWebHookHandler").status_code == 401
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(shop.client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    told = {row[0].strip("`"): set(named(row[1])) for row in table("http.md", "Metrics")}

    assert issued.key
    assert told == found


def test_a_metric_to_watch_exists() -> None:
    mentioned = set(re.findall(r"\bqlmhook_[a-z_]+", sections("operations.md")["Monitoring"]))

    assert mentioned
    assert mentioned - set(first_names("http.md", "Metrics")) == set()


# What the listings show


def json_fields(*paths: str) -> set[str]:
    return {
        text for path in paths for text in first_names("commands.md", f"`qlmhook {path}`") if not text.startswith("-")
    }


def named_behind(field: str, path: str) -> set[str]:
    """The names in the second column of a field's row."""
    rows = table("commands.md", f"`qlmhook {path}`")
    return {text for row in rows if row[0] == f"`{field}`" for text in named(row[1])}


def test_every_field_of_a_license_is_explained(shop: Shop, issued: models.License) -> None:
    with shop.service.database.reading():
        row = listings.license_row(issued, shop.clock())
        shown = listings.confirmation(issued)
        history = listings.license_history(issued)
    customer = named_behind("customer", "license list")
    entries = named_behind("history", "license show")

    assert json_fields("license list") == set(row)
    assert json_fields("license show") == {*shown, "history"}
    assert customer == set(row["customer"])
    assert entries == set(history[0])


def test_every_field_and_state_of_a_notification_is_explained(shop: Shop, issued: models.License) -> None:
    with shop.service.database.reading():
        [row] = listings.notifications()

    assert json_fields("notification list") == set(row)
    assert json_fields("notification") == set(notification_store.STATES)


def test_every_field_and_state_of_the_outbox_is_explained(shop: Shop, issued: models.License) -> None:
    with shop.service.database.reading():
        [row] = listings.outbox_rows()

    assert json_fields("outbox list") == set(row)
    assert json_fields("outbox") == set(queue.STATES)


# Links and files


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(name: str) -> list[str]:
    found: list[str] = re.findall(r"\]\(([^)\s]+)\)", prose(name))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("name", PAGES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    for link in links(name):
        target, _, anchor = link.partition("#")
        path = (PAGES[name].parent / target).resolve() if target else PAGES[name]

        assert path.exists(), link
        if anchor:
            assert anchor in {slug(heading) for heading in sections(path.name)}, link


@pytest.mark.parametrize("name", PAGES)
def test_every_file_of_deploy_that_is_mentioned_is_there(name: str) -> None:
    mentioned = set(re.findall(r"deploy/[\w.-]*\w", page(name)))

    assert {file for file in mentioned if not (ROOT / file).is_file()} == set()


@pytest.mark.parametrize("unit", sorted((ROOT / "deploy").glob("*.service")), ids=lambda path: path.name)
def test_the_secrets_of_a_unit_are_settings_and_come_as_credentials(
    unit: Path, tmp_path: Path, configure: Configure
) -> None:
    """Each file that a setting is read from is handed over by systemd; the lines that wait in comments count, too."""
    text = re.sub(r"^#(?=LoadCredential|Environment)", "", unit.read_text(encoding="utf-8"), flags=re.M)
    credentials = re.findall(r"^LoadCredential=(\w+):", text, flags=re.M)
    environ = dict(re.findall(rf"^Environment=({ENVIRONMENT_PREFIX}\w+)=(.+)$", text, flags=re.M))
    for name in credentials:
        (tmp_path / name).write_text(f"{name}\n", encoding="utf-8")
    configure()
    given = {name: value.replace("%d", str(tmp_path)) for name, value in environ.items()}
    settings = load_settings({CONFIG_VARIABLE: str(tmp_path / "qlmhook.toml"), **given})

    assert sorted(credentials) == sorted(value.removeprefix("%d/") for value in environ.values() if "%d" in value)
    assert settings.mail.password == "mail_password"
    assert settings.vendors["avangate"].section["shared_keys"] == "shared_keys"


def sandbox(unit: Path) -> list[str]:
    """What a unit says about its user and what it may do."""
    after = unit.read_text(encoding="utf-8").partition("# What the process may do")[2]
    return [line for line in after.partition("[Install]")[0].splitlines() if "=" in line]


def test_all_units_have_the_same_sandbox() -> None:
    first, *others = [sandbox(unit) for unit in sorted((ROOT / "deploy").glob("*.service"))]

    assert len(first) > 20
    assert [other for other in others if other != first] == []


def test_nginx_logs_no_query_string_and_lets_through_what_is_taken() -> None:
    """The query string has the password; nginx's error log quotes it in every message below crit."""
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    directives = [line.strip() for line in text.splitlines() if not line.strip().startswith("#")]
    logged = " ".join(directives).partition("log_format")[2].partition(";")[0]

    assert re.findall(r"\$(?:request|request_uri|args|query_string|arg_\w+)\b", logged) == []
    assert {line.split()[-1] for line in directives if line.startswith("access_log")} == {"qlmhook;"}
    assert {line.split()[-1] for line in directives if line.startswith("error_log")} == {"crit;"}
    assert f"client_max_body_size {form_body.MAX_BODY >> 20}m;" in directives
