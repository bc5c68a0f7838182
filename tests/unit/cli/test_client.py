"""What the command line makes of answers, and of none."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from wend.cli.client import Api, NoAddress, Refused, Unreachable
from wend.cli.session import actor, workflow_url
from wend.cli.state import Addresses, StateDirectory
from wend.errors import InvalidDocument


def api(answer: Callable[[httpx2.Request], httpx2.Response], **options: Any) -> Api:
    return Api("http://wend.test", transport=httpx2.MockTransport(answer), **options)


def test_a_part_of_a_path_may_hold_any_character() -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.raw_path.decode())
        return httpx2.Response(200, json={})

    api(answer).get("segments", "a/b?c", "count")
    assert asked == ["/v1/segments/a%2Fb%3Fc/count"]


def test_a_list_is_read_page_by_page_as_far_as_it_is_wanted() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        first, wanted = int(request.url.params.get("cursor", "0")), int(request.url.params["limit"])
        until = min(first + wanted, 2500)
        return httpx2.Response(
            200, json={"items": list(range(first, until)), "next": str(until) if until < 2500 else None}
        )

    assert api(answer).listing("runs", limit=5) == (list(range(5)), True)
    assert api(answer).listing("runs", limit=2500) == (list(range(2500)), False)
    assert api(answer).listing("runs", limit=9999) == (list(range(2500)), False)


def test_a_refusal_holds_its_problems() -> None:
    problems = [{"path": "key", "message": "is required", "severity": "error"}]
    with pytest.raises(Refused, match=r"2 things wrong\.") as refused:
        api(lambda _: httpx2.Response(422, json={"detail": "2 things wrong.", "problems": problems})).get("x")
    assert [str(each) for each in refused.value.problems] == ["key: is required"]


def test_the_key_is_sent_and_asked_for() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        right = request.headers.get("authorization") == "Bearer right"
        return httpx2.Response(200 if right else 401, json={"detail": "No."})

    assert api(answer, token="right").get("x") == {"detail": "No."}
    with pytest.raises(Refused, match="WEND_API_TOKEN"):
        api(answer).get("x")


def test_every_request_says_who_asks() -> None:
    told: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        told.append(dict(request.headers.raw)[b"Wend-Actor"].decode())
        return httpx2.Response(200, json={})

    api(answer).get("x")
    api(answer, actor="Zoë 李", token="right").patch("x", body={})
    assert told == ["cli", "Zoë 李"]


@pytest.mark.parametrize(("given", "said"), [(None, "cli"), (" ", "cli"), (" Zoë ", "Zoë"), ("a" * 100, "a" * 100)])
def test_the_environment_says_who_acts(monkeypatch: pytest.MonkeyPatch, given: str | None, said: str) -> None:
    monkeypatch.delenv("WEND_ACTOR", raising=False)
    if given is not None:
        monkeypatch.setenv("WEND_ACTOR", given)
    assert actor() == said


@pytest.mark.parametrize("given", ["a" * 101, "a\nb", "a\x1b[2J"])
def test_an_actor_that_cannot_be_shown_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("WEND_ACTOR", given)
    with pytest.raises(InvalidDocument, match="WEND_ACTOR: is a name of at most 100"):
        actor()


@pytest.mark.parametrize(
    ("url", "ui", "found"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8233", True),
        ("http://localhost:8000/", "http://127.0.0.1:8233", True),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8233", False),
        ("http://127.0.0.1:8000", None, False),
    ],
)
def test_a_workflow_is_found_in_the_ui_of_the_wend_that_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, ui: str | None, found: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    assert workflow_url(Api(url), "run/trip/1/1") is None
    StateDirectory(Path(".wend")).make().announce(Addresses(1, "http://127.0.0.1:8000", "127.0.0.1:7233", ui, None))
    address = "http://127.0.0.1:8233/namespaces/default/workflows/run%2Ftrip%2F1%2F1"
    assert workflow_url(Api(url), "run/trip/1/1") == (address if found else None)


@pytest.mark.parametrize("status", [200, 404, 502])
def test_another_server_is_told_from_wend(status: int) -> None:
    with pytest.raises(Refused, match="not as Wend's API does"):
        api(lambda _: httpx2.Response(status, text="<html>")).get("x")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:8001", "write http://localhost:8001"),
        ("wend.example", "write http://wend.example"),
        ("ftp://wend.example", "such as http://"),
        ("http://localhost:99999", "such as http://"),
        ("", "such as http://"),
    ],
)
def test_an_address_that_is_none_says_how_to_write_one(url: str, said: str) -> None:
    with pytest.raises(NoAddress, match=said):
        Api(url)


def test_nobody_there_says_where_it_looked_and_how_to_start() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(Unreachable) as unreachable:
        Api(url, elsewhere=lambda: "http://127.0.0.1:8001").get("x")
    for said in (url, "make up", "--api http://127.0.0.1:8001"):
        assert said in str(unreachable.value)


def test_an_answer_that_does_not_come_in_time_is_none() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("", request=request)

    with pytest.raises(Unreachable, match="takes too long"):
        api(answer).get("x")
