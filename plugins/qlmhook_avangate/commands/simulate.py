"""`simulate`: plays 2Checkout against a running service, by hand."""

import contextlib
import secrets

import click

from qlmhook.vendors.commands import cannot_listen, checked_address, host_and_port
from qlmhook_avangate import simulation
from qlmhook_avangate.commands.idn_server import IdnServer
from qlmhook_avangate.commands.posting import post
from qlmhook_avangate.signature import ALGORITHMS


@click.group()
def simulate() -> None:
    """Play a shop against a running service."""


@simulate.command()
@click.option("--url", required=True, help="The service's URL, as 2Checkout has it.")
@click.option("--key", required=True, help="The secret key to sign with.")
@click.option("--algorithm", "algorithms", multiple=True, type=click.Choice(ALGORITHMS), help="Default: all but md5.")
@click.option("--order", "order_ref", default="", help="REFNO; default: a new one.")
@click.option("--status", default="COMPLETE", show_default=True, help="ORDERSTATUS.")
@click.option("--product", "products", multiple=True, default=["1"], show_default=True, help="IPN_PID; repeatable.")
@click.option("--name", "names", multiple=True, help="IPN_PNAME of the products, in their order.")
@click.option("--quantity", "quantities", multiple=True, help="IPN_QTY of the products, in their order.")
@click.option("--subscription", "subscriptions", multiple=True, help="IPN_LICENSE_REF, in the order of the products.")
@click.option("--expires", default="9999-12-31 23:59:59", show_default=True, help="IPN_LICENSE_EXP; empty for none.")
@click.option("--email", default="john.doe@example.com", show_default=True, help="CUSTOMEREMAIL.")
@click.option("--test", "test_order", is_flag=True, help="Mark it as a test order.")
@click.option("--field", "extra", multiple=True, metavar="NAME=VALUE", help="Set a field; repeatable.")
def ipn(
    url: str,
    key: str,
    algorithms: tuple[str, ...],
    order_ref: str,
    status: str,
    products: tuple[str, ...],
    names: tuple[str, ...],
    quantities: tuple[str, ...],
    subscriptions: tuple[str, ...],
    expires: str,
    email: str,
    test_order: bool,
    extra: tuple[str, ...],
) -> None:
    """Post a signed order and check the receipt; exit with 1 if 2Checkout would not take it."""
    lines = [
        simulation.Line(
            product_id=product,
            name=_nth(names, index, f"Product {product}"),
            quantity=_nth(quantities, index, "1"),
            subscription_ref=_nth(subscriptions, index, secrets.token_hex(5).upper()),
            expires=expires,
        )
        for index, product in enumerate(products)
    ]
    order = simulation.Order(
        order_ref=order_ref or str(100_000_000 + secrets.randbelow(900_000_000)),
        lines=lines,
        email=email,
        status=status,
        test=test_order,
        now=simulation.wall_now(),
        extra=[_field(text) for text in extra],
    )
    fields = simulation.ipn_fields(order)
    click.echo(f"Order {order.order_ref}, {status}, {len(fields)} fields")
    post(url, fields, key, algorithms or ALGORITHMS[:2])


@simulate.command()
@click.option("--url", required=True, help="The service's URL, as 2Checkout has it.")
@click.option("--key", required=True, help="The secret key to sign with.")
@click.option("--algorithm", "algorithms", multiple=True, type=click.Choice(ALGORITHMS), help="Default: all but md5.")
@click.option("--subscription", "ref", required=True, help="LICENSE_CODE: the IPN_LICENSE_REF of an order.")
@click.option("--product", default="1", show_default=True, help="LICENSE_PRODUCT.")
@click.option(
    "--status", default="ACTIVE", show_default=True, help="STATUS: ACTIVE, EXPIRED, PAST DUE, DISABLED, PAUSED …"
)
@click.option("--expires", default="9999-12-31 23:59:59", show_default=True, help="EXPIRATION_DATE_TIME.")
@click.option("--email", default="john.doe@example.com", show_default=True, help="EMAIL.")
@click.option("--field", "extra", multiple=True, metavar="NAME=VALUE", help="Set a field; repeatable.")
def lcn(
    url: str,
    key: str,
    algorithms: tuple[str, ...],
    ref: str,
    product: str,
    status: str,
    expires: str,
    email: str,
    extra: tuple[str, ...],
) -> None:
    """Post a signed change of a subscription and check the receipt; exit with 1 if 2Checkout would not take it."""
    subscription = simulation.Subscription(
        ref=ref,
        product_id=product,
        expires=expires,
        status=status,
        email=email,
        now=simulation.wall_now(),
        extra=[_field(text) for text in extra],
    )
    fields = simulation.lcn_fields(subscription)
    click.echo(f"Subscription {ref}, {status}, {len(fields)} fields")
    post(url, fields, key, algorithms or ALGORITHMS[:2])


@simulate.command("idn-server")
@click.option(
    "--bind",
    default="127.0.0.1:8090",
    show_default=True,
    metavar="HOST:PORT",
    callback=checked_address,
    help="Where to listen.",
)
@click.option("--key", required=True, help="The secret key to check with.")
@click.option("--fail", "failure", type=click.Choice(simulation.FAILURES), help="Fail in this way.")
@click.option("--code", type=click.IntRange(1, 99), help="With --fail code: the response code to answer.")
@click.option("--times", type=click.IntRange(1), help="Fail so many times, then answer right.")
@click.option("--delay", type=click.FloatRange(0, 300), default=0.0, help="Seconds to wait before each answer.")
def idn_server(bind: str, key: str, failure: str | None, code: int | None, times: int | None, delay: float) -> None:
    """Stand in for 2Checkout's IDN address; prints each order and what was answered."""
    if (failure == "code") != (code is not None):
        raise click.UsageError("--fail code and --code go together.")
    host, port = host_and_port(bind)
    try:
        server = IdnServer((host, port), key, failure=failure or "", code=code, times=times, delay=delay)
    except OSError as error:
        raise cannot_listen(bind, error) from error
    with server:
        click.echo(f"Listening at http://{host}:{server.server_port}/order/idn.php")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _nth(values: tuple[str, ...], index: int, default: str) -> str:
    return values[index] if index < len(values) else default


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint="--field")
    return name, value
