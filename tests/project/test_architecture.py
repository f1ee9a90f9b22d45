"""Who may import whom: downwards only, plugins the lowest layers alone, and each library in its own rooms."""

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS: Mapping[int, str] = {
    0: "__init__",
    1: "errors events",
    2: "vendor hookspecs form schemas",
    3: "addresses config engines faults filelock database models keys vocabulary terms properties registry rules "
    "templating http facts lines standing purchases entitlement",
    4: "history mappings ledger reading customers overrides audit assessment licenses outbox mail mailing "
    "variables refusals confirmations listing doubles",
    5: "delivery fulfillment",
    6: "intake decisions renaming worker service",
    7: "views metrics cli",
    8: "app __main__ gunicorn_conf gunicorn_log gunicorn_worker testing",
}
"""A module may import those of lower layers, and others of its own as long as no circle comes of it."""

FOR_PLUGINS = 2
"""The highest layer that a plugin may import."""

LIBRARIES_OF_PLUGINS = {"pluggy", "marshmallow"}

ROOMS: Mapping[str, str] = {
    "flask": "app mail views",
    "flask_mail": "mail",
    "werkzeug": "app views",
    "smtplib": "mail",
    "peewee": "database engines faults listing metrics models",
    "playhouse": "engines",
    "click": "cli",
    "gunicorn": "gunicorn_log gunicorn_worker",
    "urllib3": "cli http",
    "pytest": "testing",
}
"""The only modules that may import a library."""

VAGUE_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "base"}


def modules() -> dict[str, ast.Module]:
    """Every module of the core and the plugins, by its full name."""
    files = [(path, ROOT) for path in (ROOT / "qlmhook").rglob("*.py")]
    files += [(path, ROOT / "plugins") for path in (ROOT / "plugins").rglob("*.py")]
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path, folder in files
    }


MODULES = modules()
CORE = {name: tree for name, tree in MODULES.items() if name.partition(".")[0] == "qlmhook"}
PLUGINS = {name: tree for name, tree in MODULES.items() if name not in CORE}
PLUGIN_PACKAGES = {name.partition(".")[0] for name in PLUGINS}


def imports(tree: ast.Module, known: Mapping[str, object]) -> set[str]:
    """The modules that a module imports, wherever in it; `known` tells a module of ours from a name in it."""
    return set(_imports(tree, known))


def _imports(tree: ast.Module, known: Mapping[str, object]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: an import names its module in full"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else str(node.module)


def room(module: str) -> str:
    """The part of the core that a module belongs to: `cli` for qlmhook.cli.demo."""
    return module.split(".")[1] if "." in module else "__init__"


def layer(module: str) -> int:
    found = [number for number, names in LAYERS.items() if room(module) in names.split()]
    assert len(found) == 1, f"{module} belongs into one layer of the table"
    return found[0]


def of_the_core(names: set[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] == "qlmhook"}


def libraries(names: set[str]) -> set[str]:
    """The packages among imported names that are neither Python's nor ours."""
    packages = {name.partition(".")[0] for name in names}
    return packages - sys.stdlib_module_names - {"qlmhook"} - PLUGIN_PACKAGES


def test_imports_are_found_wherever_they_stand() -> None:
    """An import inside a function counts, and a module imported from its package is named in full."""
    source = "import a.b\nfrom qlmhook import models, __version__\ndef f():\n    from c import d\n"

    assert imports(ast.parse(source), {"qlmhook.models": ...}) == {"a.b", "qlmhook.models", "qlmhook", "c"}


def test_every_module_has_a_layer_and_every_layer_is_peopled() -> None:
    assert sorted({room(name) for name in CORE}) == sorted(" ".join(LAYERS.values()).split())


@pytest.mark.parametrize("module", sorted(CORE))
def test_a_module_imports_downwards(module: str) -> None:
    upwards = {name for name in of_the_core(imports(CORE[module], CORE)) if layer(name) > layer(module)}

    assert upwards == set()


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: of_the_core(imports(tree, CORE)) - {name} for name, tree in CORE.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", sorted(name for name in CORE if layer(name) == 1))
def test_the_lowest_layer_imports_the_standard_library_alone(module: str) -> None:
    assert libraries(imports(CORE[module], CORE)) == set()
    assert of_the_core(imports(CORE[module], CORE)) == set()


@pytest.mark.parametrize("module", sorted(PLUGINS))
def test_a_plugin_imports_the_lowest_layers_alone(module: str) -> None:
    """No web framework, no database, no HTTP or mail client, and nothing of the core that has them."""
    names = imports(PLUGINS[module], MODULES)

    assert {name for name in of_the_core(names) if layer(name) > FOR_PLUGINS} == set()
    assert libraries(names) - LIBRARIES_OF_PLUGINS == set()


@pytest.mark.parametrize("module", sorted(PLUGINS))
def test_a_plugin_does_no_input_or_output(module: str) -> None:
    """The standard library can talk to the world, too."""
    talkative = {
        "socket",
        "ssl",
        "http",
        "urllib.request",
        "smtplib",
        "ftplib",
        "sqlite3",
        "subprocess",
        "asyncio",
        "os",
    }
    names = imports(PLUGINS[module], MODULES)

    assert {name for name in names if name in talkative or name.partition(".")[0] in talkative} == set()


@pytest.mark.parametrize("module", sorted(PLUGINS))
def test_a_plugin_imports_no_other_plugin(module: str) -> None:
    packages = {name.partition(".")[0] for name in imports(PLUGINS[module], MODULES)}

    assert packages & PLUGIN_PACKAGES <= {module.partition(".")[0]}


def test_only_commands_import_a_plugin() -> None:
    """The core knows no plugin by name; the commands that play 2Checkout do."""
    importers = {
        name for name, tree in CORE.items() if PLUGIN_PACKAGES & {part.partition(".")[0] for part in imports(tree, {})}
    }

    assert {name for name in importers if room(name) != "cli"} == set()


@pytest.mark.parametrize("library", sorted(ROOMS))
def test_a_library_stays_in_its_rooms(library: str) -> None:
    """What would be much work to exchange is used in few places."""
    users = {
        room(name)
        for name, tree in CORE.items()
        if library in {imported.partition(".")[0] for imported in imports(tree, CORE)}
    }

    assert users <= set(ROOMS[library].split())


def test_the_service_does_not_import_the_contract_suite() -> None:
    """It needs pytest, which an installed service does not have."""
    users = {name for name, tree in MODULES.items() if "qlmhook.testing" in imports(tree, MODULES)}

    assert users == set()


def test_the_contract_suite_needs_what_a_plugin_needs_and_pytest() -> None:
    names = imports(CORE["qlmhook.testing"], CORE)

    assert {name for name in of_the_core(names) if layer(name) > FOR_PLUGINS} == set()
    assert libraries(names) - LIBRARIES_OF_PLUGINS == {"pytest"}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert {name for name in MODULES if name.rpartition(".")[2] in VAGUE_NAMES} == set()
