"""Templates written to exhaust whoever renders them.

Nothing here is measured in seconds: each of these took minutes or gigabytes, or would, before there was a limit.
"""

from dataclasses import replace
from uuid import UUID

import pytest

from tests.unit.messages.sample import ZOE, email, tracked
from wend.errors import InvalidDocument
from wend.messages.context import MessageContext, ProfileContext
from wend.messages.errors import RenderError
from wend.messages.links import render

HEAVY: MessageContext = replace(
    ZOE,
    profile=ProfileContext(
        id=UUID(int=1),
        attributes={
            "name": "Zoë",
            "tags": "<a " * 80_000,
            "list": list(range(5_000)),
            "huge": 10**4_000,
            "far": 1e308,
            "text": "1e99999999",
            "surrogate": "\ud800",
            "lists": [[[[[[[["x"] * 10] * 10] * 10]]]]],
        },
    ),
)
TEN_TO_FORTY_THOUSAND = "{% assign s = 'aaaaaaaaaa' %}" + "{% assign s = s | append: s %}" * 12


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("{% for i in (1..200) %}" * 15 + "x" + "{% endfor %}" * 15, id="nested-loops"),
        pytest.param("{% for i in (1..9999) %}{% endfor %}" * 5_000, id="loops-in-a-row"),
        pytest.param("{% for i in (1..999) %}" + "{% if true %}{% endif %}" * 500 + "{% endfor %}", id="long-rounds"),
        pytest.param("{% for i in (1..1000000000) reversed %}{% endfor %}", id="reversed-range"),
        pytest.param("{% for i in (1..100000000000) limit: 1 offset: 99999999999 %}{% endfor %}", id="range-offset"),
        pytest.param("{% tablerow i in (1..999999999) %}{% endtablerow %}", id="tablerow"),
        pytest.param("{% for i in (1..profile.huge) %}{% endfor %}", id="range-to-data"),
        pytest.param("{% if (1..99999999999999) contains 'x' %}{% endif %}", id="range-contains"),
        pytest.param("{{ (1..1000000000) | join: ',' }}", id="range-filtered"),
        pytest.param("{% assign r = (1..1000000000) %}{{ r | reverse | first }}", id="range-assigned"),
        pytest.param("{% liquid\nassign r = (1..1000000000)\necho r | sort %}", id="range-in-liquid-tag"),
        pytest.param("{{ 'a' | append: (1..1000000000) }}{{ 'x' | concat: (1..1000000000) }}", id="range-argument"),
        pytest.param("{% case (1..1000000000) %}{% when 1 %}{% endcase %}", id="range-in-case"),
        pytest.param("{% cycle (1..1000000000) %}", id="range-in-cycle"),
        pytest.param("{% assign s = 'aaaa' %}" + "{% assign s = s | append: s %}" * 60, id="append"),
        pytest.param("{% assign s = 'a' %}{% for i in (1..60) %}{% assign s = s | append: s %}{% endfor %}", id="loop"),
        pytest.param("{% capture s %}aaaa{% endcapture %}" + "{% capture s %}{{s}}{{s}}{% endcapture %}" * 60,
                     id="capture"),
        pytest.param(TEN_TO_FORTY_THOUSAND + "{{ s | replace: 'a', s }}", id="replace"),
        pytest.param(TEN_TO_FORTY_THOUSAND + "{{ s | replace: '', s }}", id="replace-nothing"),
        pytest.param(TEN_TO_FORTY_THOUSAND + "{{ s | split: '' | join: s }}", id="join"),
        pytest.param(TEN_TO_FORTY_THOUSAND + "{{ s }}" * 1_000, id="output"),
        pytest.param(TEN_TO_FORTY_THOUSAND + "{{ s | upcase | size }}" * 1_000, id="work"),
        pytest.param("".join(f"{{% capture a{i} %}}{'x' * 900}{{% endcapture %}}" for i in range(199))
                     .replace("x" * 900, "{{ profile.tags }}"), id="locals"),
        pytest.param("{% assign n = 99999999 %}" + "{% assign n = n | times: n %}" * 60, id="times"),
        pytest.param("{{ profile.far | floor }}", id="floor"),
        pytest.param("{{ profile.text | ceil }}", id="ceil"),
        pytest.param("{% assign l = profile.list %}" + "{% assign l = l | concat: l %}" * 40, id="concat"),
        pytest.param("{{ profile.list | uniq | size }}", id="uniq"),
        pytest.param("{{ profile.surrogate }}", id="half-a-character"),
        pytest.param("{{ '2026-01-01' | date: profile.surrogate }}", id="half-a-character-in-a-format"),
    ],
)  # fmt: skip
def test_a_template_that_costs_too_much_fails(template: str) -> None:
    with pytest.raises(RenderError, match=r"^html"):
        render(email(template), HEAVY, tracked)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{" * 90_000, id="open-output"),
        pytest.param("{% comment %}" + "{{" * 90_000 + "{% endcomment %}", id="open-output-in-a-comment"),
        pytest.param("{% raw %}" * 20_000, id="open-raw"),
        pytest.param("{% comment %}" * 15_000, id="open-comment"),
        pytest.param("<a " * 65_000, id="open-tags"),
        pytest.param("<a href='" * 20_001, id="open-quotes"),
        pytest.param("<!--" * 48_000, id="open-comments"),
        pytest.param("</" * 90_000, id="open-end-tags"),
        pytest.param("<style>" + "</style" * 25_000, id="open-style"),
        pytest.param("{% if true %}" * 30 + "{% endif %}" * 30, id="nested-blocks"),
        pytest.param("{{ profile" + "[profile" * 5_000 + "]" * 5_000 + " }}", id="nested-paths"),
        pytest.param("{% if " + "true and " * 5_000 + "true %}{% endif %}", id="long-condition"),
        pytest.param("{{ " + "[" * 990 + " }}", id="brackets"),
        pytest.param("<a href='https://x.example'></a>" * 501, id="too-many-links"),
    ],
)
def test_a_source_that_takes_too_long_to_read_is_refused(source: str) -> None:
    with pytest.raises(InvalidDocument):
        render(email(source), HEAVY, tracked)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 5 | round: -999999999 }}",
        "{{ 1.5 | round: 999999999 }}",
        "{{ 'abc' | slice: 0, 99999999999999999999 }}",
        "{{ 'abc' | truncate: 99999999999999999999 }}",
        "{{ 'a b' | truncatewords: 99999999999999999999 }}",
        "{{ '2026-01-01' | date: '%999999999Y' }}",
        "{{ profile.tags | strip_html | size }}",
        "{{ profile.lists | join | size }}",
        "<" * 190_000,
        "{% for i in (1..5) offset: 99999999999 %}x{% endfor %}",
        "<a " + "b='c' " * 30_000 + ">",
    ],
)
def test_what_looks_dangerous_and_is_not_renders(template: str) -> None:
    render(email(template, text="t"), HEAVY, tracked)


def test_ordinary_loops_are_far_from_the_limits() -> None:
    row = "<tr><td>{{ profile.name }}</td><td>{% if profile.name %}{{ i | times: 3 | plus: 1 }}{% endif %}</td></tr>"
    result = render(email(f"<table>{{% for i in (1..500) %}}{row}{{% endfor %}}</table>"), HEAVY, tracked)
    assert result.html is not None
    assert result.html.count("Zoë") == 500
