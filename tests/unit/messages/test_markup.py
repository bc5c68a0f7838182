import html as standard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wend.messages.markup import Comment, MarkupError, Tag, escaped, markup, text_of, unescaped


def tags(text: str) -> list[tuple[str, dict[str, str]]]:
    return [
        (item.name, {a.name: text[a.start : a.end] for a in item.attributes})
        for item in markup(text)
        if isinstance(item, Tag)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<a href="x">', [("a", {"href": "x"})]),
        ("<A HREF='x'>", [("a", {"href": "x"})]),
        ("<a href=x>", [("a", {"href": "x"})]),
        ("<a href=x/>", [("a", {"href": "x/"})]),
        ("<a href = \n 'x'\tclass=y >", [("a", {"href": "x", "class": "y"})]),
        ('<a\nhref="a\nb"\n>', [("a", {"href": "a\nb"})]),
        ('<a href="it\'s > fine">', [("a", {"href": "it's > fine"})]),
        ('<a href="x"class="y">', [("a", {"href": "x", "class": "y"})]),
        ("<a title=it's href=x>", [("a", {"title": "it's", "href": "x"})]),
        ("<a href>", [("a", {"href": ""})]),
        ("<a href=>", [("a", {"href": ""})]),
        ("<br/>", [("br", {})]),
        ("<a/href=x>", [("a", {"href": "x"})]),
        ("<a =b href=x>", [("a", {"=b": "", "href": "x"})]),
        ("1 < 2 <3 <> <é>", []),
        ("</a href=x>", []),
        ("<!-- <a href=x> -->", []),
        ("<!--><a>", [("a", {})]),
        ("<!---><a>", [("a", {})]),
        ("<!-- --!><a>", [("a", {})]),
        ("<!-- > <a> -->", []),
        ("<!doctype html><a>", [("a", {})]),
        ("<![if !mso]><a><![endif]>", [("a", {})]),
        ("<!--[if !mso]><!--><a><!--<![endif]-->", [("a", {})]),
        ("<!--[if mso]><a><![endif]-->", []),
        ("<?xml version='1'?><a>", [("a", {})]),
        ("<script>'<a>'</script><a>", [("script", {}), ("a", {})]),
        ("<STYLE><a></sTyLe ><b>", [("style", {}), ("b", {})]),
        ("<style></styles><a></style>", [("style", {})]),
        ("<title><a></title>", [("title", {})]),
        ("<textarea><!-- </textarea><a>", [("textarea", {}), ("a", {})]),
        ("<ab><abbr>", [("ab", {}), ("abbr", {})]),
    ],
)
def test_tags_are_read_as_browsers_read_them(text: str, found: list[tuple[str, dict[str, str]]]) -> None:
    assert tags(text) == found


@pytest.mark.parametrize(
    "text", ["<a", "<a href", "<a href=", "<a href='x>", '<a href="x', "<!-- ", "</a", "<!x", "<style>", "<a href='x'"]
)
def test_what_is_never_closed_is_refused_where_it_begins(text: str) -> None:
    with pytest.raises(MarkupError) as caught:
        list(markup("ok " + text))
    assert caught.value.position == 3


@given(st.text(alphabet="<>/!-=\"' \nabhrefstyle&;é"))
def test_items_stand_in_order_and_inside_of_the_text(text: str) -> None:
    position = 0
    try:
        for item in markup(text):
            assert position <= item.start < item.end <= len(text)
            assert text[item.start] == "<"
            position = item.end
            for attribute in item.attributes if isinstance(item, Tag) else ():
                assert item.start < attribute.start <= attribute.end < item.end
                if attribute.quote:
                    assert text[attribute.start - 1] == text[attribute.end] == attribute.quote
    except MarkupError as refused:
        place = refused.position
    else:
        place = position
    assert position <= place <= len(text)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("?a=1&amp;b=2", "?a=1&b=2"),
        ("?a=1&region=2&copy=3&lang=x", "?a=1&region=2&copy=3&lang=x"),
        ("?a=1&amp", "?a=1&"),
        ("?a&amp=1", "?a&amp=1"),
        ("&ampx", "&ampx"),
        ("&notit;", "&notit;"),
        ("&quot;&#39;&#x27;&#39", "\"'''"),
        ("&eacute;&eacute", "éé"),
        ("&nosuch;", "&nosuch;"),
        ("&&amp;&amp;amp;", "&&&amp;"),
        ("&amp;=", "&="),
    ],
)
def test_entities_in_attributes_are_read_as_browsers_do(written: str, value: str) -> None:
    assert unescaped(written) == value


@given(st.text())
def test_what_is_escaped_comes_back(value: str) -> None:
    assert unescaped(escaped(value)) == standard.unescape(escaped(value)) == value


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>One</p>\n\n\n<p>Two &amp; three</p>", "One\n\nTwo & three\n"),
        ("a <b>b</b>\n   c<br>d", "a b c\nd\n"),
        ("<a href='https://x.example/?a=1&amp;b=2'>Shop</a>!", "Shop (https://x.example/?a=1&b=2)!\n"),
        ("<a href='#top'>Top</a> <a href='mailto:x@y.example'>Write</a>", "Top Write (x@y.example)\n"),
        ("<a>no</a> <a href=x><img alt='Logo' src=y></a>", "no Logo (x)\n"),
        ("<ul><li>one<li>two</ul>end", "- one\n- two\n\nend\n"),
        ("<head><title>T</title><style>a{}</style></head><body>Hi", "Hi\n"),
        ("<head><title>T</title><body>Hi", "Hi\n"),
        ("<!doctype html><!-- c --><script>x</script>Hi", "Hi\n"),
        ("<tr><td>a</td><td>b</td></tr><tr><td>c</td></tr>", "ab\n\nc\n"),
    ],
)
def test_a_page_has_a_text(page: str, text: str) -> None:
    assert text_of(page) == text


def test_declarations_are_comments() -> None:
    assert [type(item) for item in markup("<!doctype html><![endif]></ x>")] == [Comment, Comment, Comment]
