"""One made-up person and run, and short ways to make messages for them."""

from typing import Any
from uuid import UUID

from wend.messages.content import EmailContent, SmsContent
from wend.messages.context import MessageContext, ProfileContext, RunContext
from wend.messages.links import Rendered, render

ZOE = MessageContext(
    profile=ProfileContext(
        id=UUID(int=1),
        attributes={
            "first_name": "Zoë",
            "company": "Tom & <Co>",
            "nickname": None,
            "age": 41,
            "points": 3.5,
            "vip": True,
            "tags": ["red", "green"],
            "orders": [{"name": "Lamp", "price": 20}, {"name": "Desk", "price": 90}],
            "address": {"city": "New York"},
            "two lines": "first\nsecond",
            "id": "not the id",
        },
        identities={"email": "zoe@example.com", "external_id": "c-7"},
        time_zone="Europe/Paris",
    ),
    run=RunContext(
        id=UUID(int=2),
        journey="product-launch",
        properties={"url": "https://shop.example/p?a=1&b=2", "bad": "javascript:alert(1)", "launch_on": "2026-12-10"},
    ),
)


def email(html: str, *, subject: str = "News", text: str | None = None) -> EmailContent:
    return EmailContent(subject=subject, sender="Shop <shop@example.com>", html=html, text=text)


def sms(text: str) -> SmsContent:
    return SmsContent(text=text)


def tracked(number: int, destination: str) -> str:
    return f"https://t.example/c/{number}"


def rendered(content: EmailContent | SmsContent) -> Rendered:
    return render(content, ZOE, tracked)


def html_of(html: str, **parts: Any) -> str:
    result = rendered(email(html, **parts)).html
    assert result is not None
    return result


def text_of(text: str) -> str:
    return rendered(sms(text)).text
