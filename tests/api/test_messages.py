"""Messages over HTTP."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.api.conftest import Api
from wend.storage.tables import sent_messages

MAIL = {
    "channel": "email",
    "from": "Wend <news@example.com>",
    "subject": "Hi {{ profile.first_name }}",
    "html": '<a data-link="details" href="https://e.com/{{ profile.first_name }}?o={{ run.properties.order }}">x</a>',
}
TEXT = {"channel": "sms", "text": "Here: {{ 'https://example.com/s' | link: 'shop' }}"}


def put(api: Api, content: Mapping[str, object] = MAIL, key: str = "news") -> dict[str, object]:
    saved: dict[str, object] = api.ok("PUT", f"/v1/messages/{key}", {"name": "News", "content": dict(content)})
    return saved


def test_a_draft_becomes_ready_versions_that_never_change(api: Api) -> None:
    saved = put(api)
    assert (saved["state"], saved["version"], saved["links"]) == ("draft", 0, ["details"])
    first = api.ok("POST", "/v1/messages/news/ready")
    assert (first["message"]["state"], first["message"]["version"], first["sample_profile_id"]) == ("ready", 1, None)
    assert api.ok("POST", "/v1/messages/news/ready")["message"]["version"] == 1

    changed = put(api, MAIL | {"subject": "Hello"})
    assert (changed["state"], changed["version"]) == ("draft", 1)
    api.ok("POST", "/v1/messages/news/ready")
    versions = api.ok("GET", "/v1/messages/news/versions")["items"]
    assert [version["version"] for version in versions] == [2, 1]
    assert api.ok("GET", "/v1/messages/news/versions/1")["content"]["subject"] == MAIL["subject"]
    assert versions[0]["content"]["subject"] == "Hello"

    assert api.ok("GET", "/v1/messages/news")["state"] == "ready"
    assert "news" in [message["key"] for message in api.ok("GET", "/v1/messages")["items"]]
    api.problem(404, "GET", "/v1/messages/news/versions/3")
    api.problem(404, "GET", "/v1/messages/nothing/versions")


def test_a_message_in_yaml(api_on_sqlite: Api) -> None:
    text = "name: Text\ncontent:\n  channel: sms\n  text: |\n    It is here\n"
    headers = {"content-type": "text/yaml"}
    saved = api_on_sqlite.ok("PUT", "/v1/messages/text", content=text, headers=headers)
    assert saved["content"] == {"channel": "sms", "text": "It is here\n"}


def test_it_must_render_for_a_sample_profile(api: Api) -> None:
    put(api)
    api.world.person("ada")
    problems = api.problems("POST", "/v1/messages/news/ready")
    assert any("first_name" in message and "sample profile" in message for message in problems.values()), problems
    grace = api.world.person("grace", attributes={"first_name": "Grace"})
    body = {"profile_id": str(grace), "properties": {"order": "A-17"}}
    assert api.ok("POST", "/v1/messages/news/ready", body)["sample_profile_id"] == str(grace)
    api.problem(404, "POST", "/v1/messages/news/ready", {"profile_id": "00000000-0000-0000-0000-000000000000"})
    api.problem(404, "POST", "/v1/messages/nothing/ready")


def test_what_is_worth_a_second_look_is_told_and_passes(api_on_sqlite: Api) -> None:
    api_on_sqlite.world.person("ada")
    put(api_on_sqlite, {"channel": "sms", "text": "Ünïcödé … " * 20 + "https://example.com/plain"})
    warnings = api_on_sqlite.ok("POST", "/v1/messages/news/ready")["warnings"]
    assert {warning["severity"] for warning in warnings} == {"warning"}
    assert any("not tracked" in warning["message"] for warning in warnings)
    assert any("parts" in warning["message"] for warning in warnings)


def test_every_problem_of_a_draft_is_told(api_on_sqlite: Api) -> None:
    content = {"channel": "email", "from": "nobody", "subject": " ", "htlm": "x"}
    problems = api_on_sqlite.problems("PUT", "/v1/messages/news", {"name": "News", "content": content})
    assert {"content.from", "content.subject", "content.html", "content.htlm"} <= set(problems)
    assert "did you mean 'html'" in problems["content.htlm"]
    broken = {"channel": "sms", "text": "{% if %} {{ x"}
    assert api_on_sqlite.problems("PUT", "/v1/messages/news", {"name": "News", "content": broken})
    dangerous = MAIL | {"html": '<a href="ftp://example.com/">x</a>'}
    assert api_on_sqlite.problems("PUT", "/v1/messages/news", {"name": "News", "content": dangerous})


def test_a_message_keeps_its_channel(api: Api) -> None:
    put(api)
    told = api.problem(409, "PUT", "/v1/messages/news", {"name": "News", "content": TEXT})
    assert told["type"] == "urn:wend:problem:channel-is-fixed"


def test_a_preview_for_a_profile(api: Api) -> None:
    put(api)
    ada = api.world.person("ada", attributes={"first_name": "Ada & co"})
    shown = api.ok("POST", "/v1/messages/news/preview", {"profile_id": str(ada), "properties": {"order": 7}})
    assert shown["subject"] == "Hi Ada & co"
    assert shown["links"] == [{"number": 1, "name": "details", "destination": "https://e.com/Ada%20&%20co?o=7"}]
    assert "https://e.com/Ada%20&amp;%20co" in shown["html"]
    assert shown["sms_parts"] is None
    assert api.world.rows(sent_messages) == []


def test_a_preview_for_somebody_made_up(api: Api) -> None:
    put(api, TEXT, "text")
    shown = api.ok("POST", "/v1/messages/text/preview", {"profile": {"attributes": {"first_name": "Zoë"}}})
    assert shown["text"] == "Here: https://example.com/s"
    assert (shown["sms_parts"], shown["sms_encoding"]) == (1, "GSM-7")


def test_a_preview_of_a_ready_version(api_on_sqlite: Api) -> None:
    api = api_on_sqlite
    put(api, TEXT)
    api.ok("POST", "/v1/messages/news/ready")
    put(api, {"channel": "sms", "text": "Other"})
    assert api.ok("POST", "/v1/messages/news/preview", {"profile": {}})["text"] == "Other"
    assert api.ok("POST", "/v1/messages/news/preview", {"profile": {}, "version": 1})["text"].startswith("Here")
    api.problem(404, "POST", "/v1/messages/news/preview", {"profile": {}, "version": 2})


def test_a_preview_that_does_not_render_says_where_and_why(api_on_sqlite: Api) -> None:
    put(api_on_sqlite)
    problems = api_on_sqlite.problems("POST", "/v1/messages/news/preview", {"profile": {}})
    ((path, message),) = problems.items()
    assert path.startswith("subject")
    assert "first_name" in message


def test_a_preview_is_for_exactly_one_person(api_on_sqlite: Api) -> None:
    put(api_on_sqlite)
    assert "either" in api_on_sqlite.problems("POST", "/v1/messages/news/preview", {})[""]
    told = api_on_sqlite.problem(
        404, "POST", "/v1/messages/news/preview", {"profile_id": "00000000-0000-0000-0000-000000000000"}
    )
    assert "no profile" in told["detail"]


def test_callers_who_make_the_same_message_at_once_make_one(api: Api) -> None:
    with ThreadPoolExecutor(8) as threads:
        saved = list(threads.map(lambda number: put(api, TEXT | {"text": f"Number {number}"}), range(8)))
    assert {message["key"] for message in saved} == {"news"}
