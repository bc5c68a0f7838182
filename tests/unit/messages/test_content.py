import pytest
from pydantic import TypeAdapter, ValidationError

from wend.messages.content import EmailContent, MessageContent, SmsContent, split_mailbox

ADAPTER: TypeAdapter[EmailContent | SmsContent] = TypeAdapter(MessageContent)
EMAIL = {"channel": "email", "subject": "Hi", "from": "Shop <shop@example.com>", "html": "<p>Hi</p>"}


def test_the_channel_tells_the_kind_of_content() -> None:
    assert isinstance(ADAPTER.validate_python(EMAIL), EmailContent)
    assert isinstance(ADAPTER.validate_python({"channel": "sms", "text": "Hi"}), SmsContent)


def test_the_sender_is_called_from_in_json_both_ways() -> None:
    content = ADAPTER.validate_python(EMAIL)
    assert content.sender == "Shop <shop@example.com>"
    assert ADAPTER.dump_python(content, mode="json")["from"] == "Shop <shop@example.com>"
    assert ADAPTER.validate_json(ADAPTER.dump_json(content)) == content
    assert "from" in ADAPTER.json_schema()["$defs"]["EmailContent"]["properties"]


@pytest.mark.parametrize(
    ("mailbox", "parts"),
    [
        ("shop@example.com", ("", "shop@example.com")),
        ("<shop@example.com>", ("", "shop@example.com")),
        ("Shop <shop@example.com>", ("Shop", "shop@example.com")),
        ("Café Lumière <shop@example.com>", ("Café Lumière", "shop@example.com")),
        ("Dr. Who <shop@example.com>", ("Dr. Who", "shop@example.com")),
        ('"Shop, Inc. \\"Best\\"" <shop@example.com>', ('Shop, Inc. "Best"', "shop@example.com")),
        ("shop@wend.test", ("", "shop@wend.test")),
    ],
)
def test_a_sender_has_a_name_and_an_address(mailbox: str, parts: tuple[str, str]) -> None:
    assert split_mailbox(mailbox) == parts


@pytest.mark.parametrize(
    "mailbox",
    [
        pytest.param("", id="empty"),
        pytest.param("Shop", id="no-address"),
        pytest.param("Shop shop@example.com", id="no-brackets"),
        pytest.param("Shop <shop@example.com", id="open-bracket"),
        pytest.param("Shop <shop>", id="no-domain"),
        pytest.param("Shop, Inc. <shop@example.com>", id="comma-unquoted"),
        pytest.param("a@example.com, b@example.com", id="two"),
        pytest.param("Shop <a@example.com>\r\nBcc: b@example.com", id="second-header"),
        pytest.param('"Sh\nop" <a@example.com>', id="line-break-in-name"),
        pytest.param("{{ profile.shop }} <a@example>", id="liquid"),
    ],
)
def test_a_sender_that_would_break_a_header_is_refused(mailbox: str) -> None:
    with pytest.raises(ValidationError, match="from"):
        ADAPTER.validate_python({**EMAIL, "from": mailbox})
    with pytest.raises(ValidationError, match="reply_to"):
        ADAPTER.validate_python({**EMAIL, "reply_to": mailbox})


@pytest.mark.parametrize("sender", ["+33612345678", "38080", "WEND", "Wend & Co"])
def test_an_sms_comes_from_a_number_a_short_code_or_a_name(sender: str) -> None:
    assert SmsContent(text="Hi", sender=sender).sender == sender


@pytest.mark.parametrize("sender", ["", "+0123", "A name too long", "12", "WE\nND", "--"])
def test_any_other_sms_sender_is_refused(sender: str) -> None:
    with pytest.raises(ValidationError):
        SmsContent(text="Hi", sender=sender)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"subject": " "}, id="blank-subject"),
        pytest.param({"html": "\n"}, id="blank-html"),
        pytest.param({"text": ""}, id="blank-text"),
        pytest.param({"html": "x" * 200_001}, id="html-too-big"),
        pytest.param({"subject": "x" * 501}, id="subject-too-long"),
        pytest.param({"channel": "push"}, id="no-such-channel"),
        pytest.param({"body": "x"}, id="unknown-field"),
    ],
)
def test_content_out_of_bounds_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python({**EMAIL, **change})


def test_content_cannot_be_changed_and_equal_content_is_equal() -> None:
    content = ADAPTER.validate_python(EMAIL)
    with pytest.raises(ValidationError):
        setattr(content, "subject", "Other")  # noqa: B010
    assert hash(content) == hash(ADAPTER.validate_python(EMAIL))
