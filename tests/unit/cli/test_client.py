"""What the command line makes of answers, and of none."""

import socket
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from wend.cli.client import Api, NoAddress, Refused, Unreachable


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
