import pytest

from tests.unit.messages.sample import ZOE, email, sms
from wend.errors import InvalidDocument, Problem
from wend.messages.checks import check_message, preview, sms_encoding, sms_segments
from wend.messages.errors import RenderError


def lines(findings: list[Problem]) -> list[str]:
    return [f"{each.severity}: {each}" for each in findings]


def test_a_sound_message_has_no_findings() -> None:
    content = email("<p>Hi {{ profile.first_name }}</p><a data-link=p href='https://x.example'>x</a>", text="Hi")
    assert check_message(content, ZOE) == []


def test_every_problem_is_found_at_once_with_its_place() -> None:
    content = email(
        "<p>{{ profil.name }}</p>\n<a href='/x'>x</a>\n<a data-link='link-1' href='https://x.example'>y</a>",
        subject="{{ profile.x | shout }}",
        text="{{ profile.x",
    )
    assert lines(check_message(content, ZOE)) == [
        "error: subject line 1: there is no filter called 'shout'",
        'error: html line 2: its destination does not begin with http:// or https://; mark it data-track="off" if '
        "that is meant",
        "error: html line 3: 'link-1' is what a link without a name is called; choose another name",
        "error: html line 1: profil.name is unknown: templates know profile and run",
        "error: text line 1: this {{ is never closed by }}",
    ]


def test_what_only_rendering_shows_is_found_with_a_sample() -> None:
    content = email("one\n{{ profile.nope }}")
    assert check_message(content) == []
    (finding,) = check_message(content, ZOE)
    assert (finding.path, finding.severity) == ("html line 2", "error")
    assert finding.message.endswith("(for the sample profile)")


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (sms("x" * 161), "text: it is sent (and paid) as 2 parts for the sample profile: GSM-7"),
        (sms("😀" + "x" * 70), "text: it is sent (and paid) as 2 parts for the sample profile: UCS-2, because of 😀"),
        (sms("a\nhttps://x.example"), "text line 2: this address is not tracked"),
        (email("x", text="see https://x.example"), "text line 1: this address is not tracked"),
        (email("x" * 102_401, text="t"), "html: it comes out with 102,401 bytes"),
        (email("\n<!--[if mso]><a href='https://x.example'>x</a><![endif]-->"), "html line 2: links in a conditional"),
    ],
)
def test_what_is_worth_a_warning_keeps_nothing_from_being_ready(content, warning: str) -> None:  # type: ignore[no-untyped-def]
    (finding,) = check_message(content, ZOE)
    assert finding.severity == "warning"
    assert str(finding).startswith(warning)


def test_tracked_links_count_with_their_own_length() -> None:
    # 22 + 47 characters of link and 92 others are 161.
    content = sms("{{ 'https://x.example' | link: 'x' }} " + "x" * 91)
    assert len(check_message(content, ZOE)) == 1
    assert check_message(content, ZOE, link_base="https://x.co/c/") == []


def test_a_preview_leads_straight_to_the_destinations() -> None:
    result = preview(email("<a href='{{ run.properties.url }}'>x</a>"), ZOE)
    assert result.html == "<a href='https://shop.example/p?a=1&amp;b=2'>x</a>"


def test_a_preview_of_what_cannot_be_rendered_says_why() -> None:
    with pytest.raises(RenderError):
        preview(email("{{ profile.nope }}"), ZOE)
    with pytest.raises(InvalidDocument):
        preview(email("{{ nope }}"), ZOE)


@pytest.mark.parametrize(
    ("text", "encoding", "segments"),
    [
        pytest.param("", "GSM-7", 1, id="empty"),
        pytest.param("a" * 160, "GSM-7", 1, id="160"),
        pytest.param("a" * 161, "GSM-7", 2, id="161"),
        pytest.param("a" * 306, "GSM-7", 2, id="2x153"),
        pytest.param("a" * 307, "GSM-7", 3, id="2x153+1"),
        pytest.param("€" * 80, "GSM-7", 1, id="80-extended"),
        pytest.param("€" * 81, "GSM-7", 2, id="81-extended"),
        # 76 euros fill 152 of 153 septets; the next one is not cut in two.
        pytest.param("€" * 152, "GSM-7", 2, id="2x76-extended"),
        pytest.param("€" * 153, "GSM-7", 3, id="2x76+1-extended"),
        pytest.param("éàù\n@", "GSM-7", 1, id="gsm-accents"),
        pytest.param("ç" + "a" * 69, "UCS-2", 1, id="70-ucs2"),
        pytest.param("ç" + "a" * 70, "UCS-2", 2, id="71-ucs2"),
        pytest.param("ç" + "a" * 133, "UCS-2", 2, id="2x67-ucs2"),
        pytest.param("ç" + "a" * 134, "UCS-2", 3, id="2x67+1-ucs2"),
        pytest.param("😀" * 35, "UCS-2", 1, id="35-emoji"),
        # 33 emoji fill 66 of 67 units.
        pytest.param("😀" * 66, "UCS-2", 2, id="2x33-emoji"),
        pytest.param("😀" * 67, "UCS-2", 3, id="2x33+1-emoji"),
    ],
)
def test_parts_of_a_text_message(text: str, encoding: str, segments: int) -> None:
    assert (sms_encoding(text), sms_segments(text)) == (encoding, segments)
