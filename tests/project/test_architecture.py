"""Who may import whom: downwards only, plugins the lowest layers alone, and each library in its own rooms."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS: Sequence[str] = (
    "__init__ errors",
    "domain storage",
    "vendors catalog outbox",
    "config inbox",
    "licensing",
    "reports",
    "channels",
    "services",
    "web",
    "cli",
    "__main__",
)
"""The rooms, the lowest first: one may import those below it. Those of one line know nothing of each other."""

FOR_PLUGINS = {"qlmhook.vendors"}
"""All that a plugin may import of the core; its tests may import the contract suite, too."""

LIBRARIES_OF_PLUGINS = {"pluggy", "marshmallow"}

FOR_COMMANDS_OF_PLUGINS = FOR_PLUGINS | {"qlmhook.vendors.commands"}
"""What the package `commands` of a plugin may import of the core: they print, listen and post."""

USERS: Mapping[str, str] = {
    "flask": "channels.mail.smtp web vendors.hooks vendors.loader",
    "flask_mail": "channels.mail.smtp",
    "werkzeug": "web",
    "smtplib": "channels.mail.smtp",
    "peewee": "storage reports",
    "playhouse": "storage",
    "click": "cli vendors.commands vendors.hooks vendors.loader",
    "gunicorn": "web.gunicorn",
    "urllib3": "cli channels.http vendors.commands",
    "pytest": "vendors.testing",
}
"""The only places that may import a library."""

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
COMMANDS_OF_PLUGINS = {name for name in PLUGINS if name.split(".")[1:2] == ["commands"]}
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


def is_package(module: str) -> bool:
    return (ROOT / module.replace(".", "/")).is_dir()


def room(module: str) -> str:
    """The part of the core that a module belongs to: `cli` for qlmhook.cli.demo."""
    return module.split(".")[1] if "." in module else "__init__"


def layer(module: str) -> int:
    found = [number for number, names in enumerate(LAYERS) if room(module) in names.split()]
    assert len(found) == 1, f"{module} belongs into one room of the table"
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


def test_every_room_is_in_the_table_and_every_line_of_it_is_peopled() -> None:
    assert sorted({room(name) for name in CORE}) == sorted(" ".join(LAYERS).split())


@pytest.mark.parametrize("module", sorted(CORE))
def test_a_module_imports_downwards(module: str) -> None:
    others = {name for name in of_the_core(imports(CORE[module], CORE)) if room(name) != room(module)}

    assert {name for name in others if layer(name) >= layer(module)} == set()


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: of_the_core(imports(tree, CORE)) - {name} for name, tree in CORE.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", sorted(name for name in CORE if room(name) == "domain"))
def test_the_domain_needs_the_standard_library_alone(module: str) -> None:
    """No database, no network, and no clock to look at."""
    names = imports(CORE[module], CORE)

    assert libraries(names) == set()
    assert {name for name in of_the_core(names) if room(name) not in ("domain", "errors")} == set()


@pytest.mark.parametrize("package", sorted(name for name in CORE if is_package(name)))
def test_a_package_says_what_it_is_for(package: str) -> None:
    """In one sentence, the first line of its `__init__`."""
    first, *_ = (ast.get_docstring(CORE[package]) or "").splitlines()

    assert first.endswith((".", ".:"))


def at_run_time(tree: ast.Module) -> ast.Module:
    """The module without what is there for type checkers alone."""

    class Typing(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
            is_typing = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            return node.orelse if is_typing else self.generic_visit(node)

    return ast.fix_missing_locations(Typing().visit(ast.parse(ast.unparse(tree))))  # type: ignore[no-any-return]


@pytest.mark.parametrize("module", sorted(PLUGINS.keys() - COMMANDS_OF_PLUGINS))
def test_a_plugin_imports_one_package_of_the_core(module: str) -> None:
    """No web framework, no database, no HTTP or mail client, and nothing of the core that has them."""
    names = imports(at_run_time(PLUGINS[module]), MODULES)

    assert of_the_core(names) - FOR_PLUGINS == set()
    assert libraries(names) - LIBRARIES_OF_PLUGINS == set()


@pytest.mark.parametrize("module", sorted(COMMANDS_OF_PLUGINS))
def test_the_commands_of_a_plugin_import_one_module_more(module: str) -> None:
    """They may print, listen and post; the service itself is behind its URL."""
    names = imports(PLUGINS[module], MODULES)

    assert of_the_core(names) - FOR_COMMANDS_OF_PLUGINS == set()
    assert libraries(names) - LIBRARIES_OF_PLUGINS - {"click", "urllib3"} == set()


@pytest.mark.parametrize("module", sorted(PLUGINS.keys() - COMMANDS_OF_PLUGINS))
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


def test_the_core_imports_no_plugin() -> None:
    """It knows none by name: plugins come through their entry points."""
    importers = {
        name for name, tree in CORE.items() if PLUGIN_PACKAGES & {part.partition(".")[0] for part in imports(tree, {})}
    }

    assert importers == set()


WORDS_OF_A_SHOP = re.compile(r"(?<![^\W_])(?:avangate|2checkout|verifone|idn|ipn|lcn)(?![^\W_])", flags=re.I)


def without_migrations() -> list[Path]:
    """The core's files, but for the steps that know what an earlier release stored."""
    elsewhere = {"migrations", "__pycache__"}
    return sorted(path for path in (ROOT / "qlmhook").rglob("*.*") if not elsewhere & set(path.parts))


@pytest.mark.parametrize("path", without_migrations(), ids=lambda path: path.name)
def test_the_core_has_no_word_of_a_shop(path: Path) -> None:
    """Neither in names nor in texts: what 2Checkout calls something stands in its plugin."""
    assert WORDS_OF_A_SHOP.findall(f"{path.stem} {path.read_text(encoding='utf-8')}") == []


def test_one_module_makes_the_plugin_manager() -> None:
    makers = {name for name, tree in MODULES.items() if "PluginManager" in ast.unparse(tree)}

    assert makers == {"qlmhook.vendors.loader"}


def test_a_vendors_plugin_needs_no_web_framework_no_command_line_and_no_database() -> None:
    """Whoever imports what a plugin's author imports gets none of them with it."""
    script = "import sys, qlmhook.vendors; print(*sorted({'flask', 'click', 'peewee', 'urllib3'} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout == "\n"


@pytest.mark.parametrize("library", sorted(USERS))
def test_a_library_stays_in_its_places(library: str) -> None:
    """What would be much work to exchange is used in few places."""
    places = tuple(f"qlmhook.{place}" for place in USERS[library].split())
    users = {
        name
        for name, tree in CORE.items()
        if library in {imported.partition(".")[0] for imported in imports(tree, CORE)}
    }

    assert {name for name in users if not any(f"{name}.".startswith(f"{place}.") for place in places)} == set()


SUITE = {name for name in CORE if f"{name}.".startswith("qlmhook.vendors.testing.")}
"""The modules of the contract suite."""


def test_the_service_does_not_import_the_contract_suite() -> None:
    """It needs pytest, which an installed service does not have."""
    users = {name for name, tree in MODULES.items() if SUITE & imports(tree, MODULES)}

    assert users <= SUITE


def test_the_contract_suite_needs_what_a_plugin_needs_and_pytest() -> None:
    names = {imported for name in SUITE for imported in imports(CORE[name], CORE)}

    assert {room(name) for name in of_the_core(names)} <= {"vendors", "domain", "errors"}
    assert libraries(names) - LIBRARIES_OF_PLUGINS == {"pytest"}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert {name for name in MODULES if name.rpartition(".")[2] in VAGUE_NAMES} == set()
