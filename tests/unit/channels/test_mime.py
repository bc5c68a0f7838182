import re
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wend.channels.mime import UnsendableEmail, build_letter
from wend.channels.port import OutgoingEmail

MakeEmail = Callable[..., OutgoingEmail]
AT = datetime(2026, 12, 1, 9, tzinfo=UTC)


def parsed(email: OutgoingEmail) -> EmailMessage:
    return message_from_bytes(build_letter(email, domain="mail.example", at=AT).content, policy=policy.default)


def test_an_email_has_both_parts_and_the_headers_that_identify_it(email: MakeEmail) -> None:
    message = parsed(email(reply_to="Help <help@shop.example>"))
    assert message["From"].addresses[0].display_name == "Wend Shop"
    assert message["To"] == "ada.lovelace@example.org"
    assert message["Reply-To"].addresses[0].addr_spec == "help@shop.example"
    assert message["Subject"] == "Something new"
    assert message["Message-ID"] == "<11111111222253338444555555555555@mail.example>"
    assert message["X-Wend-Message"] == "11111111-2222-5333-8444-555555555555"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    html = message.get_body(("html",))
    assert html is not None
    assert "look</a>" in html.get_content()
    assert not message.defects


def test_the_same_email_gives_the_same_bytes(email: MakeEmail) -> None:
    first, second = (build_letter(email(), domain="mail.example", at=AT) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("html", "text", "kind"),
    [
        pytest.param("<p>x</p>", "", "text/html", id="html alone"),
        pytest.param("", "x", "text/plain", id="text alone"),
    ],
)
def test_one_part_alone_is_not_wrapped(email: MakeEmail, html: str, text: str, kind: str) -> None:
    message = parsed(email(html=html, text=text))
    assert message.get_content_type() == kind
    assert "x" in message.get_content()


@given(text=st.text(min_size=1).filter(str.strip), html=st.text(min_size=1).filter(str.strip))
@settings(max_examples=200)
def test_any_content_arrives_as_it_was_written(text: str, html: str) -> None:
    made = OutgoingEmail(
        message_id=UUID(int=7), to="a@b.example", sender="c@d.example", reply_to=None,
        subject="s", html=html, text=text, headers={},
    )  # fmt: skip
    letter = build_letter(made, domain="d.example", at=AT)
    assert letter.content.isascii()
    assert max(map(len, letter.content.split(b"\r\n"))) <= 998
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", letter.content)
    message = message_from_bytes(letter.content, policy=policy.default)
    for kind, written in (("plain", text), ("html", html)):
        part = message.get_body((kind,))
        assert part is not None
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        arrived = payload.decode().replace("\r\n", "\n")
        assert arrived.rstrip("\n") == re.sub(r"\r\n?", "\n", written).rstrip("\n")


def test_a_long_unsubscribe_link_stays_plain(email: MakeEmail) -> None:
    link = f"<https://shop.example/u/{'k' * 150}>, <mailto:u@shop.example?subject={'q' * 80}>"
    letter = build_letter(
        email(headers={"List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}),
        domain="mail.example",
        at=AT,
    )
    assert b"=?" not in letter.content
    assert b"List-Unsubscribe: <https" in letter.content
    assert message_from_bytes(letter.content)["List-Unsubscribe"].replace("\r\n", "") == link


@pytest.mark.parametrize("subject", ["Été à Besançon " * 12, "新製品のお知らせ" * 20, "🎉 launched", "a" * 300])
def test_a_subject_in_any_script_arrives(email: MakeEmail, subject: str) -> None:
    message = parsed(email(subject=subject))
    assert message["Subject"] == subject.strip()


def test_a_line_break_in_a_subject_becomes_a_space(email: MakeEmail) -> None:
    message = parsed(email(subject="Hello\r\nBcc: all@example.org\n\n"))
    assert message["Subject"] == "Hello Bcc: all@example.org"
    assert message["Bcc"] is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"to": "ada@example.org\r\nRCPT TO:<eve@example.org>"}, "invalid_address", id="line break in To"),
        pytest.param({"to": "ada@example.org>,<eve@example.org"}, "invalid_address", id="two recipients"),
        pytest.param({"to": "ada"}, "invalid_address", id="no at sign"),
        pytest.param({"to": "ada@-.é"}, "invalid_address", id="no domain name"),
        pytest.param({"sender": "Shop\r\nBcc: x <a@b.example>"}, "invalid_address", id="line break in From"),
        pytest.param({"sender": "Shop <a@b.example> <c@d.example>"}, "invalid_address", id="two senders"),
        pytest.param({"reply_to": "a@b.example\nX: y"}, "invalid_address", id="line break in Reply-To"),
        pytest.param({"headers": {"X-A": "b\r\nBcc: c"}}, "invalid_message", id="line break in a header"),
        pytest.param({"headers": {"X-A: b\r\nBcc": "c"}}, "invalid_message", id="line break in a name"),
        pytest.param({"headers": {"Message-Id": "c"}}, "invalid_message", id="a header of ours"),
        pytest.param({"headers": {"X-A": "b" * 1000}}, "invalid_message", id="a line too long"),
        pytest.param({"text": "half \ud83d"}, "invalid_message", id="half a character"),
        pytest.param({"html": " ", "text": "\n"}, "invalid_message", id="no content"),
    ],
)
def test_what_cannot_be_written_safely_is_refused(email: MakeEmail, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(UnsendableEmail) as refused:
        build_letter(email(**changes), domain="mail.example", at=AT)
    assert refused.value.reason == reason
    assert "example" not in refused.value.detail


@pytest.mark.parametrize("name", ['Ada "the first"', "Shop, Inc.", "Größe & Söhne", "\\"])
def test_a_display_name_may_contain_anything_but_line_breaks(email: MakeEmail, name: str) -> None:
    message = parsed(email(sender=f"{name} <hello@shop.example>"))
    assert message["From"].addresses[0].display_name == name
    assert message["From"].addresses[0].addr_spec == "hello@shop.example"


def test_a_display_name_may_come_quoted(email: MakeEmail) -> None:
    message = parsed(email(sender='"Shop, \\"the\\" Inc." <hello@shop.example>'))
    assert message["From"].addresses[0].display_name == 'Shop, "the" Inc.'


def test_a_domain_outside_ascii_is_written_as_punycode(email: MakeEmail) -> None:
    letter = build_letter(email(to="ada@bücher.example"), domain="mail.example", at=AT)
    assert letter.recipient == "ada@xn--bcher-kva.example"
    assert not letter.needs_smtputf8


def test_a_local_part_outside_ascii_asks_for_smtputf8(email: MakeEmail) -> None:
    letter = build_letter(email(to="ädä@bücher.example"), domain="mail.example", at=AT)
    assert letter.recipient == "ädä@xn--bcher-kva.example"
    assert letter.needs_smtputf8
    assert "To: ädä@xn--bcher-kva.example\r\n".encode() in letter.content
