import pytest

from tests.unit.messages.sample import ZOE, email, html_of, rendered, sms, text_of, tracked
from wend.errors import InvalidDocument
from wend.messages.errors import RenderError
from wend.messages.links import render
from wend.messages.templates import variables


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ profile.first_name }}", "Zoë"),
        ("{{ profile.id }}", "00000000-0000-0000-0000-000000000001"),
        ("{{ profile.attributes.id }}", "not the id"),
        ("{{ profile.email }} {{ profile.identities.email }}", "zoe@example.com zoe@example.com"),
        ("{{ profile.time_zone }}", "Europe/Paris"),
        ("{{ profile.address.city }}", "New York"),
        ("{{ profile['two lines'] | strip_newlines }}", "firstsecond"),
        ("{{ profile.tags | join: ', ' }} {{ profile.tags[0] }} {{ profile.tags.size }}", "red, green red 2"),
        ("{{ profile.orders | map: 'name' | join: '+' }}", "Lamp+Desk"),
        ("{{ profile.orders | where: 'name', 'Desk' | map: 'price' | first }}", "90"),
        ("{{ profile.orders | sort: 'price' | last | default: '-' | size }}", "2"),
        ("{{ profile.orders | sum: 'price' }}", "110"),
        ("{% for o in profile.orders %}{{ o.name }} {{ o.price }};{% endfor %}", "Lamp 20;Desk 90;"),
        ("{{ profile.age | plus: 1 }} {{ profile.points }} {{ profile.vip }}", "42 3.5 true"),
        ("{{ run.id }} {{ run.journey }}", "00000000-0000-0000-0000-000000000002 product-launch"),
        ("{{ run.properties.launch_on | date: '%d/%m/%Y' }}", "10/12/2026"),
        ("{{ 0 | date }}", "1970-01-01"),
        ("{% assign x = profile.first_name | upcase %}{{ x }}", "ZOË"),
        ("{{ '<b>' }} & {{ profile.company }}", "<b> & Tom & <Co>"),
        ("{{ profile.tags | uniq | join | replace: ' ', '/' }}", "red/green"),
        ("{{ '<i>x</i> 1 < 2' | strip_html }}", "x 1 < 2"),
        ("{% tablerow x in (1..2) %}{{ x }}{% endtablerow %}", '<tr class="row1">\n<td class="col1">1</td>'
         '<td class="col2">2</td></tr>'),
    ],
)  # fmt: skip
def test_templates_see_profile_and_run(template: str, text: str) -> None:
    assert text_of(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ profile.nope | default: 'you' }}", "you"),
        ("{{ profile.nickname | default: profile.nope | default: 'you' }}", "you"),
        ("{% if profile.nope %}yes{% else %}no{% endif %}", "no"),
        ("{% if profile.nope == nil %}nil{% endif %}", "nil"),
        ("{% if profile.nope > 3 %}more{% else %}not{% endif %}", "not"),
        ("{% if profile.nope == 'x' or profile.vip %}either{% endif %}", "either"),
        ("{% unless profile.nickname %}none{% endunless %}", "none"),
        ("{% case profile.nope %}{% when 'a' %}a{% else %}other{% endcase %}", "other"),
    ],
)
def test_what_is_missing_can_be_asked_for_and_replaced(template: str, text: str) -> None:
    assert text_of(template) == text


@pytest.mark.parametrize(
    "use",
    [
        "{{ profile.nope }}",
        "{{ profile.nope | upcase }}",
        "{{ profile.nope | plus: 1 }}",
        "{{ 1 | plus: profile.nope }}",
        "{{ 'a' | append: profile.nope }}",
        "{{ profile.nope | size }}",
        "{{ profile.nope | join }}",
        "{{ profile.nope | date }}",
        "{% assign x = profile.nope %}{{ x }}",
        "{% for x in profile.nope %}{% endfor %}",
        "{% for x in (1..profile.nope) %}{% endfor %}",
        "{% echo profile.nope %}",
        "{% cycle profile.nope, 'b' %}",
        "{% if true %}{% if true %}{{ profile.nope }}{% endif %}{% endif %}",
    ],
)
def test_using_what_is_missing_names_it_and_its_line(use: str) -> None:
    with pytest.raises(RenderError, match=r"^text line 3: profile\.nope is unknown for this profile") as caught:
        text_of(f"one\ntwo\n{use}")
    assert (caught.value.part, caught.value.line) == ("text", 3)


def test_null_is_missing() -> None:
    with pytest.raises(RenderError, match=r"profile\.nickname is unknown"):
        text_of("{{ profile.nickname }}")


@pytest.mark.parametrize("part", ["subject", "html", "text"])
def test_an_error_names_its_part(part: str) -> None:
    parts = {"subject": "s", "html": "h", "text": "t", part: "{{ profile.nope }}"}
    with pytest.raises(RenderError, match=rf"^{part} line 1: profile\.nope"):
        rendered(email(parts["html"], subject=parts["subject"], text=parts["text"]))


def test_an_object_is_not_printed_as_a_whole() -> None:
    for template in ("{{ profile }}", "{{ profile.address }}", "{{ profile.orders }}", "{{ profile | append: '' }}"):
        with pytest.raises(RenderError):
            text_of("x" + template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ profile.tags | date }}",
        "{{ profile.first_name | divided_by: 0 }}",
        "{{ profile.first_name | sum }}",
        "{{ profile.first_name | base64_decode }}",
        "{% if profile.first_name > 3 %}{% endif %}",
        "{{ 1 | plus: profile.first_name, 2 }}",
        "{% for x in profile.tags limit: profile.first_name %}{% endfor %}",
    ],
)
def test_no_error_repeats_a_value(template: str) -> None:
    with pytest.raises(RenderError) as caught:
        text_of("x" + template)
    assert "Zo" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ profil.name }}", "profil.name is unknown: templates know profile and run"),
        ("{% if profil %}{% endif %}", "profil is unknown"),
        ("{{ run.property }}", "run.property is unknown: run has id, journey, properties"),
        ("{{ profile.x | shout }}", "there is no filter called 'shout'"),
        ("{% if profile.x %}{{ profile.x | shout }}{% endif %}", "there is no filter called 'shout'"),
        ("{{ now }}", "now is unknown"),
        ("{{ profile.x", "this {{ is never closed by }}"),
        ("{% if profile.x", "this {% is never closed by %}"),
        ("{% if profile.x %}", "expected tag endif"),
        ("{% endif %}", "unexpected tag 'endif'"),
        ("{% comment %} {{ x }}", "this {% comment %} is never closed"),
        ("{% raw %}", "this {% raw %} is never closed"),
        ("{% include 'x' %}", "unexpected tag 'include'"),
        ("{% render 'x' %}", "unexpected tag 'render'"),
        ("{% wend_href 0 %}x{% endwend_href %}", "there is no tag called 'wend_href'"),
        ("{{ 'https://x.example' | link: 'a' }}", "the filter 'link' is for text"),
    ],
)
def test_what_is_wrong_for_everybody_is_found_without_rendering(template: str, problem: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        rendered(email(template))
    assert any(problem in str(each) for each in caught.value.problems)


def test_all_problems_are_reported_at_once_with_their_lines() -> None:
    with pytest.raises(InvalidDocument) as caught:
        rendered(email("{{ a }}\n{{ profile.x | shout }}\n{{ b }}", subject="{{ c }}", text="{% if %}"))
    assert [each.path for each in caught.value.problems] == [
        "subject line 1", "html line 1", "html line 2", "html line 3", "text line 1",
    ]  # fmt: skip


def test_html_escapes_what_is_printed_and_only_there() -> None:
    result = rendered(
        email("<b>{{ profile.company }}</b>", subject="{{ profile.company }}", text="{{ profile.company }}")
    )
    assert result.html == "<b>Tom &amp; &lt;Co&gt;</b>"
    assert result.subject == result.text == "Tom & <Co>"


def test_captured_html_is_not_escaped_again() -> None:
    assert (
        html_of("{% capture c %}<i>{{ profile.company }}</i>{% endcapture %}{{ c }}") == "<i>Tom &amp; &lt;Co&gt;</i>"
    )


def test_safe_prints_as_is() -> None:
    assert html_of("{{ profile.company | safe }}") == "Tom & <Co>"


@pytest.mark.parametrize("subject", ["{{ profile['two lines'] }}", "a\nb", "a\r\nBcc: x@example.com", "a\x00b"])
def test_a_subject_is_one_line(subject: str) -> None:
    with pytest.raises(RenderError, match="more than one line"):
        html_of("x", subject=subject)


def test_space_around_a_subject_is_dropped() -> None:
    assert rendered(email("x", subject=" Hi {{ profile.first_name }}\n")).subject == "Hi Zoë"


@pytest.mark.parametrize("subject", ["{{ '' }}", "{% if profile.nope %}x{% endif %}"])
def test_a_subject_is_not_empty(subject: str) -> None:
    with pytest.raises(RenderError, match=r"^subject: it comes out empty"):
        html_of("x", subject=subject)


def test_a_text_message_is_not_empty_and_not_endless() -> None:
    with pytest.raises(RenderError, match="empty"):
        text_of("{{ ' ' }}")
    with pytest.raises(RenderError, match="1,600"):
        text_of("x" * 1_601)


def test_templates_know_no_clock() -> None:
    for template in ("{{ 'now' | date: '%Y' }}", "{{ 'today' | date: '%Y' }}"):
        with pytest.raises(RenderError, match="time of sending"):
            text_of(template)


def test_variables_are_listed_once_and_sorted() -> None:
    content = email(
        "{{ profile.b }}{% for o in profile.orders %}{{ o.name }}{% endfor %}{{ profile.b }}",
        subject="{% assign x = run.properties.code %}{{ x }}",
        text="{{ profile['a b'] }}{{ profile.url | link: 'x' }}",
    )
    assert variables(content) == (
        "profile.b", "profile.orders", "profile.url", "profile['a b']", "run.properties.code",
    )  # fmt: skip


def test_variables_of_an_unreadable_message_are_an_error() -> None:
    with pytest.raises(InvalidDocument, match="text line 1"):
        variables(sms("{{ x"))


def test_rendering_twice_is_the_same_and_keeps_no_state() -> None:
    content = email("{% assign x = 1 %}{% increment n %}{% cycle 'a', 'b' %}{{ x }}")
    assert render(content, ZOE, tracked) == render(content, ZOE, tracked)
