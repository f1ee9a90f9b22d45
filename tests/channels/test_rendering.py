"""Mail templates: QLM's variables filled in as text, whatever a customer typed."""

from pathlib import Path

import pytest

from qlmhook.channels.mail.rendering import Rendered, Templates
from qlmhook.errors import DeliveryFailed

ITEM = {"ActivationKey": "AAAAA", "FullName": "Ann Smith", "ProductName": "Alpha", "OrderID": "900000001"}
SECOND = {**ITEM, "ActivationKey": "BBBBB", "ProductName": "Beta"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def render(folder: Path, *items: dict[str, str], subject: str = "", **sources: str) -> Rendered:
    """Render a template whose parts are `txt` and `html`."""
    for suffix, source in sources.items():
        (folder / f"Order.{suffix}").write_text(source, encoding="utf-8", newline="")
    return Templates(folder).render("Order", items or (ITEM,), subject=subject)


def test_variables_are_filled_in_in_subject_text_and_html(folder: Path) -> None:
    rendered = render(
        folder,
        txt="Subject: %ProductName%\n\nDear %FullName%: %ActivationKey%.\n",
        html="<p>Dear %FullName%: <b>%ActivationKey%</b>.</p>",
    )

    assert rendered == Rendered(
        subject="Alpha", text="Dear Ann Smith: AAAAA.\n", html="<p>Dear Ann Smith: <b>AAAAA</b>.</p>"
    )


@pytest.mark.parametrize("typed", ["%ActivationKey%", "%Unknown%", "%ItemTemplate%", r"\1 \\n"])
def test_a_value_is_never_looked_at_again(folder: Path, typed: str, caplog: pytest.LogCaptureFixture) -> None:
    """A customer who is named like a variable gets a mail with that name."""
    item = {**ITEM, "FullName": typed}

    rendered = render(folder, item, txt="Subject: For %FullName%\n\n%FullName%", html="%FullName%")

    assert rendered == Rendered(subject=f"For {typed}", text=typed, html=typed)
    assert caplog.messages == []


def test_a_value_is_no_markup(folder: Path) -> None:
    item = {**ITEM, "FullName": "<script>\"A\" & 'B'</script>"}

    rendered = render(folder, item, txt="%FullName%", html='<p title="%FullName%">')

    assert rendered.html == '<p title="&lt;script&gt;&quot;A&quot; &amp; &#x27;B&#x27;&lt;/script&gt;">'
    assert rendered.text == "<script>\"A\" & 'B'</script>"


@pytest.mark.parametrize("separator", ["\r\n", "\n", "\r", "\v", "\f", "\x1b", "\x85", "\u2028", "\u2029"])
def test_a_value_adds_no_line(folder: Path, separator: str) -> None:
    item = {**ITEM, "FullName": f"Ann{separator}Bcc: all@example.com"}

    rendered = render(folder, item, txt="Subject: For %FullName%\n\nDear %FullName%,\n", html="<p>%FullName%</p>")

    for part in (rendered.subject, rendered.text, rendered.html):
        assert "Bcc: all@example.com" in part
        assert separator not in part.removesuffix("\n")
    assert len(rendered.text.splitlines()) == 1


@pytest.mark.parametrize("variable", ["%Unheard_of1%", "%ActivationKEY%"])
def test_an_unknown_variable_stays_and_is_warned_about(
    folder: Path, variable: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert render(folder, txt=f"a {variable} b").text == f"a {variable} b"
    assert caplog.messages == [f"The mail template has an unknown variable {variable}"]


def test_a_percent_sign_that_begins_no_variable_stays(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = '<td width="100%" style="height: 50%; width: 50%">%% 5%</td>'

    assert render(folder, html=source).html == source
    assert caplog.messages == []


def test_the_block_between_two_item_lines_is_repeated_for_each_item(folder: Path) -> None:
    source = "Order %OrderID%\n%ItemTemplate%\n- %ProductName%: %ActivationKey%\n%ItemTemplate%\nBye %FullName%\n"

    assert render(folder, ITEM, SECOND, txt=source).text == (
        "Order 900000001\n- Alpha: AAAAA\n- Beta: BBBBB\nBye Ann Smith\n"
    )


def test_a_template_may_have_several_blocks_in_one_line(folder: Path) -> None:
    source = "%ItemTemplate%<i>%ProductName%</i>%ItemTemplate%<hr>%ItemTemplate%<b>%ActivationKey%</b>%ItemTemplate%"

    assert render(folder, ITEM, SECOND, html=source).html == "<i>Alpha</i><i>Beta</i><hr><b>AAAAA</b><b>BBBBB</b>"


def test_outside_a_block_the_keys_of_all_items_are_joined_as_each_part_needs_it(folder: Path) -> None:
    """The other variables are the first item's."""
    rendered = render(
        folder,
        ITEM,
        SECOND,
        txt="Subject: %ProductName%: %ActivationKey%\n\n%ActivationKey%\n",
        html="<p>%ActivationKey%</p>",
    )

    assert rendered == Rendered(subject="Alpha: AAAAA, BBBBB", text="AAAAA\nBBBBB\n", html="<p>AAAAA<br>BBBBB</p>")


@pytest.mark.parametrize(
    ("sources", "given", "subject"),
    [
        pytest.param({"txt": "Subject: A %OrderID% \n\nx"}, "", "A 900000001", id="the text's first line"),
        pytest.param({"txt": "Subject:A\r\n\r\nx"}, "", "A", id="with CR LF"),
        pytest.param({"html": "<TITLE>\n A %OrderID%\n</TITLE>"}, "", "A 900000001", id="the HTML's title"),
        pytest.param({"html": "<title>A &amp; B &lt;C&gt;</title>"}, "", "A & B <C>", id="a title's entities"),
        pytest.param({"txt": "Subject: A\n\nx", "html": "<title>B</title>"}, "", "A", id="the text's before the title"),
        pytest.param(
            {"txt": "Subject: A\n\nx", "html": "<title>B</title>"}, "C %OrderID%", "C 900000001", id="the mapping's"
        ),
        pytest.param({"txt": "No subject"}, "", "Order", id="else the template's name"),
        pytest.param({"txt": "x\nSubject: A\n"}, "", "Order", id="only the first line counts"),
    ],
)
def test_where_the_subject_is_from(folder: Path, sources: dict[str, str], given: str, subject: str) -> None:
    assert render(folder, subject=given, **sources).subject == subject


def test_a_title_with_a_customers_markup_is_a_plain_subject(folder: Path) -> None:
    item = {**ITEM, "FullName": "A &amp; <B>"}

    assert render(folder, item, html="<title>For %FullName%</title>").subject == "For A &amp; <B>"


@pytest.mark.parametrize(("source", "body"), [("Subject: A\n\nx\n", "x\n"), ("Subject: A\nx\n", "x\n"), ("x\n", "x\n")])
def test_the_subject_line_is_not_part_of_the_text(folder: Path, source: str, body: str) -> None:
    assert render(folder, txt=source).text == body


@pytest.mark.parametrize(
    ("sources", "empty"), [({"txt": "Subject: A\n\nx"}, "html"), ({"html": "<title>A</title>"}, "text")]
)
def test_a_part_without_a_file_is_empty(folder: Path, sources: dict[str, str], empty: str) -> None:
    assert getattr(render(folder, **sources), empty) == ""


def test_a_file_that_windows_saved_begins_with_no_stray_character(folder: Path) -> None:
    rendered = render(folder, txt="\ufeffSubject: A\r\n\r\nx")

    assert (rendered.subject, rendered.text) == ("A", "x")


def test_the_operators_file_counts_before_the_built_in_one(folder: Path) -> None:
    (folder / "Customer.NewOrder.txt").write_text("Subject: Ours\n\nours", encoding="utf-8")

    assert Templates(folder).render("Customer.NewOrder", [ITEM]).text == "ours"
    assert "thank you" in Templates(None).render("Customer.NewOrder", [ITEM]).text


@pytest.mark.parametrize("name", ["Customer.NewOrder", "Customer.Renewal"])
def test_a_built_in_template_lists_every_key_once_in_both_parts(name: str, caplog: pytest.LogCaptureFixture) -> None:
    more = {"NumLicenses": "1", "SubscriptionExpiryDate": "unlimited"}

    rendered = Templates(None).render(name, [{**ITEM, **more}, {**SECOND, **more}])

    for part in (rendered.text, rendered.html):
        assert [part.count(key) for key in ("AAAAA", "BBBBB")] == [1, 1]
        assert "%" not in part
    assert rendered.subject.startswith("Your license for Alpha")
    assert caplog.messages == []


def test_a_template_that_does_not_exist_is_named_and_may_come_later(folder: Path) -> None:
    with pytest.raises(DeliveryFailed, match="no mail template 'Order'") as caught:
        render(folder)

    assert not caught.value.permanent


@pytest.mark.parametrize(
    ("name", "found"), [("Customer.NewOrder", True), ("Ours", True), ("Theirs", True), ("Nobodys", False)]
)
def test_a_template_exists_when_one_of_its_parts_does(folder: Path, name: str, found: bool) -> None:
    (folder / "Ours.txt").touch()
    (folder / "Theirs.html").touch()

    assert Templates(folder).exists(name) is found
