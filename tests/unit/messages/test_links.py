import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.messages.sample import ZOE, email, html_of, rendered, sms, text_of, tracked
from wend.errors import InvalidDocument, WendError
from wend.messages.anchors import find_anchors
from wend.messages.errors import LinkError, RenderError
from wend.messages.links import RenderedLink, declared_links, render

T1, T2 = "https://t.example/c/1", "https://t.example/c/2"


def destinations(html: str) -> list[tuple[str, str]]:
    return [(each.name, each.destination) for each in rendered(email(html)).links]


@pytest.mark.parametrize(
    ("before", "after", "destination"),
    [
        pytest.param('<a href="{}">', '<a href="{}">', "https://x.example/", id="double-quotes"),
        pytest.param("<a href='{}'>", "<a href='{}'>", "https://x.example/", id="single-quotes"),
        pytest.param("<a href={}>", "<a href={}>", "https://x.example/", id="unquoted"),
        pytest.param("<A  HREF = '{}' >", "<A  HREF = '{}' >", "https://x.example/", id="upper-case-and-spaces"),
        pytest.param("<a\n\thref='{}'\nclass=b>", "<a\n\thref='{}'\nclass=b>", "https://x.example/", id="lines"),
        pytest.param("<area href='{}'>", "<area href='{}'>", "https://x.example/", id="image-map"),
        pytest.param("<![if !mso]><a href='{}'><![endif]>", "<![if !mso]><a href='{}'><![endif]>",
                     "https://x.example/", id="revealed-conditional-comment"),
        pytest.param("{{% raw %}}<a href='{}'>{{{{ x }}}}{{% endraw %}}", "<a href='{}'>{{{{ x }}}}",
                     "https://x.example/", id="raw"),
        pytest.param("{{% if profile.vip %}}<a href='{}'>{{% endif %}}", "<a href='{}'>",
                     "https://x.example/", id="if"),
        pytest.param("<a {{% if profile.vip %}}href='{}'{{% endif %}}>", "<a href='{}'>", "https://x.example/",
                     id="if-around-the-attribute"),
        pytest.param("<a href={}{{% if profile.vip %}} class=x{{% endif %}}>", "<a href={} class=x>",
                     "https://x.example/", id="unquoted-before-an-if"),
        pytest.param("<a{{{{ '' }}}} href='{}'>", "<a href='{}'>", "https://x.example/", id="liquid-in-the-tag"),
        pytest.param("<a title='a>b' href='{}'>", "<a title='a>b' href='{}'>", "https://x.example/", id="gt-in-title"),
    ],
)  # fmt: skip
def test_links_are_tracked_wherever_they_stand(before: str, after: str, destination: str) -> None:
    result = rendered(email("é " + before.format(destination) + " &amp; é\r\n"))
    assert result.html == "é " + after.format(T1) + " &amp; é\r\n"
    assert result.links == (RenderedLink(1, "link-1", destination),)


@pytest.mark.parametrize(
    ("href", "destination"),
    [
        pytest.param("https://x.example/?a=1&amp;b=2", "https://x.example/?a=1&b=2", id="entity"),
        pytest.param("https://x.example/?a=1&region=2", "https://x.example/?a=1&region=2", id="bare-ampersand"),
        pytest.param("https://x.example/&#x2F;&quot;", 'https://x.example//"', id="other-entities"),
        pytest.param("\n  https://x.example/\n", "https://x.example/", id="space-around"),
        pytest.param("https://x.exa\n\tmple/a b", "https://x.example/a%20b", id="split-over-lines"),
        pytest.param("HTTPS://X.example/", "HTTPS://X.example/", id="upper-case"),
        pytest.param("http://localhost:8080/x#y", "http://localhost:8080/x#y", id="port-and-fragment"),
        pytest.param("https://caf\u00e9.example/\u00e9", "https://caf\u00e9.example/\u00e9", id="not-ascii"),
        pytest.param("{{ run.properties.url }}", "https://shop.example/p?a=1&b=2", id="liquid"),
        pytest.param("{{ run.properties.url | safe }}&amp;c=3", "https://shop.example/p?a=1&b=2&c=3", id="liquid-safe"),
        pytest.param("https://x.example/{{ profile.company | url_encode }}", "https://x.example/Tom+%26+%3CCo%3E",
                     id="liquid-encoded"),
        pytest.param("https://x.example/?q={{ profile.company }}", "https://x.example/?q=Tom%20&%20<Co>",
                     id="liquid-not-encoded"),
        pytest.param("https://x.example/{{ 'a' | append: \"b\" }}", "https://x.example/ab", id="quotes-in-liquid"),
        pytest.param('https://x.example/{% if profile.tags[0] == "red" %}r{% else %}g{% endif %}',
                     "https://x.example/r", id="quotes-in-a-condition"),
        pytest.param("{% assign u = run.properties.url %}{{- u -}}", "https://shop.example/p?a=1&b=2", id="assign"),
        pytest.param("{% raw %}https://x.example/{{{% endraw %}", "https://x.example/{{", id="raw-inside"),
        pytest.param("https://x.example/{% comment %}\">{% endcomment %}", "https://x.example/", id="comment-inside"),
    ],
)  # fmt: skip
def test_the_destination_is_what_a_browser_would_open(href: str, destination: str) -> None:
    assert destinations(f'<a href="{href}">x</a>') == [("link-1", destination)]


@pytest.mark.parametrize(
    "html",
    [
        "<!-- <a href='https://x.example'> -->",
        "<!--[if mso]><a href='https://x.example'>x</a><![endif]-->",
        "<script>'<a href=\"https://x.example\">'</script>",
        "<style><a href='https://x.example'></style>",
        "<textarea><a href='https://x.example'></textarea>",
        "<a href='mailto:x@y.example?subject=a&amp;b'>x</a>",
        "<a href='MAILTO:x@y.example'>x</a>",
        "<a href=' tel:+33612345678'>x</a>",
        "<a href='#top'>x</a>",
        "<a href='https://x.example?a=1&b=2' data-track='off'>x</a>",
        "<a href='/relative' data-track=off>x</a>",
        "<a href='app://open/{{ profile.age }}' data-track=off>x</a>",
        "<a name='top'>x</a>",
        "<a>x</a>",
        "<abbr href='https://x.example'>x</abbr>",
        "<link href='https://x.example'>",
        "see https://x.example",
    ],
)
def test_what_is_not_tracked_stays_byte_for_byte(html: str) -> None:
    result = rendered(email("x" + html))
    assert result.links == ()
    assert result.html == "x" + html.replace("{{ profile.age }}", "41")


def test_links_in_liquid_comments_are_none() -> None:
    assert html_of("x{% comment %}<a href='https://x.example'>{% endcomment %}") == "x"


def test_untracked_links_still_print_their_liquid() -> None:
    assert html_of("<a href='{{ run.properties.url }}' data-track=off>") == (
        "<a href='https://shop.example/p?a=1&amp;b=2' data-track=off>"
    )


def test_names_and_numbers_follow_the_source() -> None:
    content = email(
        "<a href='https://a.example'>1</a><a data-link='b' href='https://b.example'>2</a>"
        "<a href='https://c.example'>3</a>",
        text="{{ 'https://b.example' | link: 'b' }} {{ 'https://d.example' | link }} "
        "{{ 'https://e.example' | link: 'e' }}",
    )
    assert declared_links(content) == ("link-1", "b", "link-2", "link-3", "e")
    assert [(each.number, each.name, each.destination) for each in rendered(content).links] == [
        (1, "link-1", "https://a.example"),
        (2, "b", "https://b.example"),
        (3, "link-2", "https://c.example"),
        (4, "link-3", "https://d.example"),
        (5, "e", "https://e.example"),
    ]


def test_numbers_are_the_same_whatever_a_condition_leaves_out() -> None:
    content = email(
        "{% if profile.nope %}<a href='https://a.example'>1</a>{% else %}<a href='https://b.example'>2</a>{% endif %}"
    )
    assert declared_links(content) == ("link-1", "link-2")
    assert rendered(content).links == (RenderedLink(2, "link-2", "https://b.example"),)


def test_one_name_with_one_destination_is_one_link_and_tracked_once() -> None:
    calls: list[tuple[int, str]] = []

    def track(number: int, destination: str) -> str:
        calls.append((number, destination))
        return T1

    anchor = "<a data-link='p' href='https://p.example/'>x</a>"
    result = render(email(anchor * 2, text="{{ 'https://p.example/' | link: 'p' }}"), ZOE, track)
    assert calls == [(1, "https://p.example/")]
    assert result.html == "<a data-link='p' href='" + T1 + "'>x</a><a data-link='p' href='" + T1 + "'>x</a>"
    assert result.text == T1


def test_a_condition_may_choose_between_destinations_of_one_name() -> None:
    html = (
        "<a data-link='p' {% if profile.vip %}href='https://vip.example'{% else %}"
        "href='https://all.example'{% endif %}>"
        "{% if profile.nope %}<a data-link=p href='https://nope.example'>{% endif %}"
    )
    assert destinations(html) == [("p", "https://vip.example")]


def test_two_destinations_of_one_name_that_are_always_there_are_found_without_rendering() -> None:
    with pytest.raises(InvalidDocument, match=r"text line 2: link 'p' leads elsewhere than in html line 1"):
        rendered(email("<a data-link='p' href='https://a.example'>", text="\n{{ 'https://b.example' | link: 'p' }}"))


def test_two_destinations_of_one_name_that_show_only_in_rendering_are_refused() -> None:
    html = "<a data-link='p' href='https://a.example'>\n<a data-link='p' href='{{ run.properties.url }}'>"
    with pytest.raises(LinkError, match=r"^html line 2: link 'p': it has two destinations in this message") as caught:
        rendered(email(html))
    assert (caught.value.link, caught.value.line) == ("p", 2)


@pytest.mark.parametrize(
    "content",
    [
        email("{% for o in profile.orders %}<a href='https://x.example/{{ o.name }}'>{% endfor %}"),
        email("{% for o in profile.orders %}{% if o.name %}<a href='https://x.example/{{ forloop.index }}'>"
              "{% endif %}{% endfor %}"),
        sms("{% for o in profile.orders %}{{ o.name | prepend: 'https://x.example/' | link: 'x' }}{% endfor %}"),
    ],
)  # fmt: skip
def test_a_link_whose_destination_changes_in_a_loop_is_refused(content) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidDocument, match="another destination in every round"):
        declared_links(content)


def test_a_link_that_stays_the_same_in_a_loop_is_one_link() -> None:
    html = "{% for o in profile.orders %}<a href='{{ run.properties.url }}'>{{ o.name }}</a>{% endfor %}"
    assert html_of(html) == f"<a href='{T1}'>Lamp</a><a href='{T1}'>Desk</a>"


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", " JaVa\nScript:alert(1)", "data:text/html,x", "ftp://x.example", "/relative", "x.example",
     "https://", "https:///path", "https://user:pass@x.example", "https://x.example:port/", "https://[x/",
     "//x.example",
     "https://x.example/\x00a", "https://x.example/\x1ba", "https://x.example/\u0085",
     "https://x.example\\@y.example/", "https://%/", "https://./", "", "mailto:x@y.example",
     "https://x.example/" + "a" * 2_048],
)  # fmt: skip
def test_a_rendered_destination_that_is_no_web_address_is_refused_without_quoting_it(url: str) -> None:
    context = ZOE.__class__(ZOE.profile, ZOE.run.__class__(ZOE.run.id, "j", {"u": url}))
    for content in (email("<a data-link=p href='{{ run.properties.u }}'>x"), sms("{{ run.properties.u | link: 'p' }}")):
        with pytest.raises(LinkError, match=r"line 1: link 'p': its? ") as caught:
            render(content, context, tracked)
        assert isinstance(caught.value, WendError)
        assert not url or url not in str(caught.value)


def test_a_destination_with_half_a_character_is_refused() -> None:
    context = ZOE.__class__(ZOE.profile, ZOE.run.__class__(ZOE.run.id, "j", {"u": "https://x.example/\ud800"}))
    for content in (email("<a href='{{ run.properties.u }}'>x"), sms("{{ run.properties.u | link: 'p' }}")):
        with pytest.raises(RenderError):
            render(content, context, tracked)


def test_an_untracked_destination_must_not_run_anything_either() -> None:
    with pytest.raises(RenderError, match="would run something"):
        rendered(email("<a data-track=off href='{{ run.properties.bad }}'>x"))


EITHER = "{% if profile.x %}A{% else %}B{% endif %}"


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("<a href='javascript:alert(1)'>", "would run a script"),
        ("<a href='java&#10;script:alert(1)' data-track=off>", "would run a script"),
        ("<a href='javascript:{{ profile.age }}'>", "would run a script"),
        ("<a href='/relative'>", "does not begin with http"),
        ("<a href='www.x.example'>", "does not begin with http"),
        ("<a href=''>", "it has no destination"),
        ("<a href>", "it has no destination"),
        ("<a href=>", "it has no destination"),
        ("<a data-link='p'>", "link 'p' has no href"),
        ("<a data-link='p' href='mailto:x@y.example'>", "are not counted"),
        ("<a data-link='p' data-track=off href='https://x.example'>", "are not counted"),
        ("<a data-track=no href='https://x.example'>", 'data-track is "on"'),
        ("<a data-link='' href='https://x.example'>", "a link's name has"),
        ("<a data-link='a b' href='https://x.example'>", "a link's name has"),
        ("<a data-link='link-3' href='https://x.example'>", "what a link without a name is called"),
        ("<a data-link='{{ profile.tier }}' href='https://x.example'>", "data-link is a plain text"),
        (
            f"<a {EITHER} href='https://x.example'>".replace("A", "data-link='a'").replace("B", "data-link='b'"),
            "plain text",
        ),
        ("<a href='https://x.example' href='https://y.example'>", "more than one href"),
        ("<a href={{ run.properties.url }}>", "must stand in quotes"),
        (f"<a href={EITHER.replace('A', 'https://a.example')}>", "must stand in quotes"),
        (f"<a href={EITHER}>".replace("A", "'https://a.example'").replace("B", "'b'"), "quotes around whole"),
        ("<a href='{% if profile.x %}https://a.example' class=b{% endif %}>", "must end in it"),
        ("{% if profile.x %}<a href='{% else %}<a href='https://a.example{% endif %}'>", "quotes around whole"),
        ("{% raw %}<a href='https://a.example/{% endraw %}x'>", "inside of {% raw %}"),
        ("<a href='https://a.example/{% raw %}x'>{% endraw %}", "inside of {% raw %}"),
        ("<a href='https://x.example>", "is never closed"),
        ("<!-- <a href='https://x.example'>", "is never closed"),
    ],
)
def test_a_link_that_cannot_be_used_is_found_without_rendering(html: str, reason: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        declared_links(email("<p>\n" + html))
    assert [each.path for each in caught.value.problems] == ["html line 2"]
    assert reason in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ run.properties.url | link: profile.x }}", "one plain text"),
        ("{{ run.properties.url | link: 'a', 'b' }}", "one plain text"),
        ("{{ run.properties.url | link: name: 'a' }}", "one plain text"),
        ("{{ run.properties.url | link: 'a b' }}", "a link's name has"),
        ("{{ run.properties.url | link: 'a' | upcase }}", "nothing may follow"),
        ("{{ 'x.example' | link: 'a' }}", "does not begin with http"),
        ("{{ 'mailto:x@y.example' | link: 'a' }}", "does not begin with http"),
    ],
)
def test_a_link_in_text_that_cannot_be_used_is_found_without_rendering(text: str, reason: str) -> None:
    with pytest.raises(InvalidDocument, match="text line 1") as caught:
        declared_links(sms(text))
    assert reason in str(caught.value)


def test_links_in_text_may_stand_in_any_tag() -> None:
    assert text_of("{% assign u = run.properties.url | link: 'a' %}{{ u }} {% echo 'https://b.example' | link %}") == (
        f"{T1} {T2}"
    )


def test_the_tracked_address_is_escaped_in_html() -> None:
    result = render(email("<a href='https://x.example'>"), ZOE, lambda n, d: "https://t.example/?a='&b=\"")
    assert result.html == "<a href='https://t.example/?a=&#x27;&amp;b=&quot;'>"


def test_a_text_that_is_missing_is_made_of_the_html_with_tracked_links() -> None:
    result = rendered(email("<p>Hi {{ profile.first_name }}</p><a href='https://x.example'>Shop</a>"))
    assert result.text == f"Hi Zoë\n\nShop ({T1})\n"


def test_html_that_data_breaks_makes_no_text() -> None:
    broken = ZOE.__class__(ZOE.profile.__class__(ZOE.profile.id, {"x": "<b title='"}), ZOE.run)
    with pytest.raises(RenderError, match="no text can be made"):
        render(email("{{ profile.x | safe }}"), broken, tracked)


def test_links_that_data_prints_are_not_ours() -> None:
    data = ZOE.__class__(ZOE.profile.__class__(ZOE.profile.id, {"x": "<a href='https://evil.example'>"}), ZOE.run)
    result = render(email("{{ profile.x | safe }}{{ profile.x }}"), data, tracked)
    assert result.links == ()


def test_rendering_carries_sender_and_reply_to() -> None:
    content = email("x").model_copy(update={"reply_to": "answers@example.com"})
    assert (rendered(content).sender, rendered(content).reply_to) == ("Shop <shop@example.com>", "answers@example.com")
    assert (rendered(sms("x")).subject, rendered(sms("x")).html) == (None, None)


TEXTS = st.text(alphabet=st.characters(exclude_characters="<{\ue000", exclude_categories=["Cs"]), max_size=20)
QUOTES = st.sampled_from(['"', "'"])
URLS = st.text(alphabet="abc/?=&;#%.é", max_size=10).map(lambda path: "https://x.example/" + path)
ANCHORS = st.tuples(QUOTES, URLS).map(lambda pair: (f"<a class=b href={pair[0]}", pair[1], f"{pair[0]}>"))
OTHERS = st.sampled_from(
    ["<p>", "</p>", "<br/>", "<!-- <a href='x'> -->", "<style>a{}</style>", "<img src='a>b'>", "< "]
)


@given(st.lists(st.one_of(TEXTS, ANCHORS, OTHERS), min_size=1, max_size=8))
def test_all_but_destinations_is_left_as_it_was_written(parts: list[str | tuple[str, str, str]]) -> None:
    source = "x" + "".join(part if isinstance(part, str) else "".join(part) for part in parts)
    number = 0
    expected = "x"
    for part in parts:
        if isinstance(part, str):
            expected += part
        else:
            number += 1
            expected += part[0] + f"https://t.example/c/{number}" + part[2]
    assert html_of(source, text="t") == expected


SOUP = st.lists(
    st.sampled_from(
        ["<a ", "<A\n", "<area ", "href=", "HREF='", 'href="', "'", '"', ">", "</a>", "https://x.example/", "mailto:x",
         "data-link=", "p", "data-track=off ", "{{ run.properties.url }}", "{{ 'x' | append: \"'\" }}",
         "{% if profile.vip %}",
         "{% else %}", "{% endif %}", "{% raw %}", "{% endraw %}", "{% comment %}", "{% endcomment %}", "<!--", "-->",
         "<style>", "</style>", "&amp;", "&", " ", "\n", "=", "/", "{% for i in (1..2) %}", "{% endfor %}", "{{ i }}"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(SOUP)
def test_whatever_is_written_it_renders_or_is_refused_with_a_reason(source: str) -> None:
    try:
        result = rendered(email("x" + source))
    except (InvalidDocument, RenderError):
        return
    assert all(link.destination.startswith("https://") for link in result.links)
    # Every tracked address stands between the very quotes that were written.
    assert find_anchors("x" + source).problems == ()
