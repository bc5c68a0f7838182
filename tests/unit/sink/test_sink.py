import asyncio
import smtplib
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from pydantic import ValidationError

from tests.support.eventually import assert_eventually
from wend.sink import Caught, Fault, Faults, PortTaken, Sink
from wend.sink.store import Filter, Store


def client(sink: Sink) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=sink.http_url, trust_env=False, timeout=60)


def post_mail(sink: Sink, *to: str, message: str) -> None:
    with smtplib.SMTP("127.0.0.1", sink.smtp_port, local_hostname="test") as smtp:
        smtp.sendmail("hello@shop.example", list(to), message.replace("\n", "\r\n").encode())


def sms(to: str = "+441", text: str = "hi", message_id: str | None = None) -> dict[str, str | None]:
    return {"to": to, "text": text, "message_id": message_id}


MAIL = """From: Shop <hello@shop.example>
To: ada@example.org
Subject: =?utf-8?b?w6k=?= <script>alert(1)</script>
X-Wend-Message: m1
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain; charset=utf-8

look: https://shop.example/c/abc?x=1&y="><img src=x>.
--b
Content-Type: text/html; charset=utf-8

<html><head><title>t</title></head><body><a href="https://shop.example/c/abc">look</a></body></html>
--b--
"""


async def test_what_comes_over_smtp_and_http_is_listed_in_order() -> None:
    async with Sink() as sink, client(sink) as http:
        await asyncio.to_thread(post_mail, sink, "ada@example.org", "eve@example.org", message=MAIL)
        answered = await http.post("/sms", json=sms(), headers={"Idempotency-Key": "m2"})
        assert answered.status_code == 201
        assert answered.json() == {"id": "sink-3", "status": "accepted"}
        page = (await http.get("/api/messages")).json()
    assert [(item["id"], item["channel"], item["recipient"], item["message_id"]) for item in page["items"]] == [
        (1, "email", "ada@example.org", "m1"),
        (2, "email", "eve@example.org", "m1"),
        (3, "sms", "+441", "m2"),
    ]
    assert page["items"][0]["subject"] == "é <script>alert(1)</script>"
    assert page["items"][0]["sender"] == "Shop <hello@shop.example>"
    assert 'href="https://shop.example/c/abc"' in page["items"][0]["html"]


async def test_the_list_is_filtered_and_paged() -> None:
    async with Sink() as sink, client(sink) as http:
        for number in range(5):
            await http.post("/sms", json=sms(to=f"+44{number % 2}", text=f"text {number}", message_id=f"m{number}"))

        async def ids(**query: str | int) -> list[int]:
            return [item["id"] for item in (await http.get("/api/messages", params=query)).json()["items"]]

        assert await ids(to="+440") == [1, 3, 5]
        assert await ids(channel="email") == []
        assert await ids(message_id="m3") == [4]
        assert await ids(like="TEXT 2") == [3]
        assert await ids(since=3) == [4, 5]
        assert await ids(to="+440", since=1, limit=1) == [3]
        first = (await http.get("/api/messages", params={"limit": 3})).json()
        assert first["next_since"] == 3
        assert (await http.get("/api/messages", params={"limit": 3, "since": 3})).json()["next_since"] is None
        assert (await http.get("/api/messages", params={"channel": "fax"})).status_code == 422
        assert (await http.get("/api/messages/99")).status_code == 404


async def test_counts_tell_copies_from_messages() -> None:
    async with Sink() as sink, client(sink) as http:
        for message_id in ("a", "a", "a", "b", None):
            await http.post("/sms", json=sms(message_id=message_id))
        await asyncio.to_thread(post_mail, sink, "ada@example.org", message=MAIL)
        counts = (await http.get("/api/counts")).json()
    assert counts == {
        "messages": 6,
        "email": {"messages": 1, "distinct": 1, "duplicates": 0, "without_message_id": 0},
        "sms": {"messages": 5, "distinct": 2, "duplicates": 2, "without_message_id": 1},
        "duplicated": [{"channel": "sms", "message_id": "a", "copies": 3}],
    }


async def test_messages_survive_a_restart_and_ids_go_on(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sink.sqlite"
    async with Sink(path) as sink, client(sink) as http:
        await http.post("/sms", json=sms(text="before"))
    async with Sink(path) as sink, client(sink) as http:
        await http.post("/sms", json=sms(text="after"))
        items = (await http.get("/api/messages")).json()["items"]
        assert [(item["id"], item["text"]) for item in items] == [(1, "before"), (2, "after")]
        assert (await http.delete("/api/messages")).json() == {"deleted": 2}
        assert (await http.get("/api/counts")).json()["messages"] == 0
        assert (await http.post("/sms", json=sms())).json()["id"] == "sink-3"


async def test_faults_are_scripted_over_http_and_used_up() -> None:
    async with Sink() as sink, client(sink) as http:
        script = {"faults": [{"kind": "busy", "channel": "sms", "times": 2, "retry_after": "PT30S"}]}
        assert (await http.post("/api/faults", json=script)).status_code == 201
        answers = [await http.post("/sms", json=sms()) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [503, 503, 201]
        assert answers[0].headers["Retry-After"] == "30"
        assert (await http.get("/api/faults")).json() == {"faults": []}
        await http.post("/api/faults", json=script)
        assert (await http.delete("/api/faults")).status_code == 204
        assert (await http.post("/sms", json=sms())).status_code == 201
        wrong = await http.post(
            "/api/faults", json={"faults": [{"kind": "refuse", "channel": "sms", "recipient": "("}]}
        )
        assert wrong.status_code == 422


def test_the_first_fault_that_matches_is_used_up_first() -> None:
    faults = Faults()
    refuse = Fault(kind="refuse", channel="email", recipient="^eve", times=None)
    drop = Fault(kind="drop", channel="email", times=2)
    faults.add(refuse, drop)
    assert faults.take("sms", "+441") is None
    assert faults.take("email", "ada@x", refusing=True) is None
    assert faults.take("email", "Eve@x", refusing=True) == refuse
    assert faults.take("email", "eve@x", refusing=False) == drop
    assert list(faults.pending) == [refuse, drop.model_copy(update={"times": 1})]
    assert faults.take("email", "ada@x") is not None
    assert list(faults.pending) == [refuse]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop", "channel": "sms", "status": 500},
        {"kind": "busy", "channel": "email", "status": 550},
        {"kind": "refuse", "channel": "email", "status": 450},
    ],
)
def test_a_status_that_does_not_fit_the_fault_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="status"):
        Fault.model_validate(fault)


async def test_a_taken_port_is_told_clearly(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"The sink's HTTP port {port} on 127\.0\.0\.1 is taken"):
            await Sink(tmp_path / "sink.sqlite", http_port=port).start()


async def test_stopping_ends_open_connections() -> None:
    sink = Sink()
    await sink.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", sink.smtp_port)
    assert (await reader.readline()).startswith(b"220")
    await sink.stop()
    await sink.stop()
    [rest] = await asyncio.gather(reader.read(), return_exceptions=True)
    assert rest == b"" or isinstance(rest, ConnectionResetError)
    writer.close()


async def test_text_in_an_unknown_charset_is_kept() -> None:
    mail = "Subject: x\nContent-Type: text/plain; charset=klingon\nContent-Transfer-Encoding: 8bit\n\nqapla'\n"
    async with Sink() as sink:
        await asyncio.to_thread(post_mail, sink, "ada@example.org", message=mail)
        stored = await sink.store.get(1)
    assert stored is not None
    assert stored.text == "qapla'\n"


class TestPages:
    @pytest_asyncio.fixture
    async def sink(self) -> AsyncIterator[Sink]:
        async with Sink() as sink:
            await asyncio.to_thread(post_mail, sink, "ada@example.org", message=MAIL)
            caught = Caught(channel="sms", recipient="+441", text='<b>"launched"</b> http://x.example/c/1.')
            await sink.store.add([caught], b"")
            yield sink

    async def test_the_inbox_lists_the_newest_first_and_escapes(self, sink: Sink) -> None:
        async with client(sink) as http:
            answer = await http.get("/")
        assert answer.text.index("+441") < answer.text.index("ada@example.org")
        assert "é &lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
        assert "<script>alert" not in answer.text
        assert "2 caught: 1 e-mail, 1 SMS" in answer.text
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy

    async def test_the_inbox_is_filtered_and_shows_its_filters(self, sink: Sink) -> None:
        async with client(sink) as http:
            by_recipient = (await http.get("/", params={"to": "ADA@example.org"})).text
            by_text = (await http.get("/", params={"q": '"launched"', "channel": "sms"})).text
            nothing = (await http.get("/", params={"q": "<nothing>"})).text
        assert "+441" not in by_recipient
        assert "/messages/1" in by_recipient
        assert "/messages/2" in by_text
        assert "/messages/1" not in by_text
        assert 'value="&quot;launched&quot;"' in by_text
        assert 'aria-current="page">SMS' in by_text
        assert "No message matches" in nothing
        assert "<nothing>" not in nothing

    async def test_the_inbox_has_pages(self, sink: Sink) -> None:
        await sink.store.add([Caught(channel="sms", recipient="+442")] * 60, b"")
        async with client(sink) as http:
            first = (await http.get("/")).text
            older = (await http.get("/", params={"before": 13})).text
        assert "/?before=13" in first
        assert "/messages/62" in first
        assert "/messages/12" in older
        assert "/messages/13" not in older
        assert "Older messages" not in older

    async def test_a_message_shows_its_parts_and_its_links_can_be_followed(self, sink: Sink) -> None:
        async with client(sink) as http:
            page = (await http.get("/messages/1")).text
            part = await http.get("/messages/1/html")
            text_message = (await http.get("/messages/2")).text
            source = await http.get("/messages/1/source")
        assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page
        assert '<a href="https://shop.example/c/abc?x=1&amp;y=" target="_blank" rel="noopener noreferrer' in page
        assert "&quot;&gt;&lt;img src=x&gt;" in page
        assert "<img" not in page
        assert '<head><base target="_blank"><title>' in part.text
        assert part.headers["Content-Security-Policy"].startswith("sandbox allow-popups")
        assert "allow-scripts" not in part.headers["Content-Security-Policy"]
        assert '<a href="http://x.example/c/1" target' in text_message
        assert "&lt;b&gt;&quot;launched&quot;&lt;/b&gt;" in text_message
        assert "X-Wend-Message: m1" in source.text
        assert source.headers["Content-Type"].startswith("text/plain")

    async def test_assets_and_unknown_pages(self, sink: Sink) -> None:
        async with client(sink) as http:
            statuses = {
                path: (await http.get(path)).status_code
                for path in ("/assets/inbox.css", "/assets/inbox.js", "/assets/other", "/messages/9", "/messages/0")
            }
        assert list(statuses.values()) == [200, 200, 404, 404, 422]


async def test_the_store_finds_the_newest_first() -> None:
    store = Store(None)
    await store.open()
    await store.add([Caught(channel="sms", recipient=f"+{number}") for number in range(3)], b"")
    found = await store.find(Filter(before=3), limit=5, newest_first=True)
    assert [stored.id for stored in found] == [2, 1]
    await store.close()


async def test_a_slow_answer_does_not_hold_the_others_up() -> None:
    async with Sink() as sink, client(sink) as http:
        sink.faults.add(Fault(kind="delay", channel="sms", delay=timedelta(minutes=5)))
        slow = asyncio.create_task(http.post("/sms", json=sms(text="slow")))

        async def was_caught() -> None:
            assert (await sink.store.counts()).messages == 1

        await assert_eventually(was_caught)
        assert (await http.post("/sms", json=sms(text="quick"))).status_code == 201
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
