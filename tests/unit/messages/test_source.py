import pytest
from hypothesis import given
from hypothesis import strategies as st
from liquid.lex import compile_liquid_rules

from wend.messages.source import PRINTED, SourceError, Visible, pieces

# What lexers stumble over, in any order.
SOUP = st.lists(
    st.sampled_from(
        ["{{ x }}", "{{- x -}}", "{{", "}}", "{%", "%}", "{% if x %}", "{%- endif -%}", "{% raw %}", "{%- raw -%}",
         "{% endraw %}", "{%-endraw-%}", "{% comment %}", "{% endcomment %}", "{% # note %}", "{% doc %}",
         "{% enddoc %}", "{% echo x %}", "{}", "{", "}", "%", "-", "'}}'", '"%}"', "\n", " ", "a", "<a href='", "'>"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@given(SOUP)
def test_the_pieces_are_the_source_without_a_gap(source: str) -> None:
    try:
        found = pieces(source)
    except SourceError as refused:
        place = refused.position
    else:
        place = 0
        assert "".join(source[piece.start : piece.end] for piece in found) == source
    assert 0 <= place <= len(source)


@given(SOUP)
def test_constructs_are_where_the_librarys_lexer_finds_them(source: str) -> None:
    try:
        found = pieces(source)
    except SourceError:
        return
    ours = {(piece.start, piece.end) for piece in found if piece.kind != "literal"}
    literal = {position for piece in found if piece.kind == "literal" for position in range(piece.start, piece.end)}
    for match in compile_liquid_rules("{%", "%}", "{{", "}}").finditer(source):
        if match.lastgroup in ("output", "TAG"):
            assert match.span() in ours
        elif match.lastgroup == "RAW":
            assert match.group("raw") == "" or match.span("raw") in ours
        if match.lastgroup != "content":
            assert literal.isdisjoint(range(*match.span()))


@given(SOUP)
def test_every_visible_character_leads_back_to_its_place(source: str) -> None:
    try:
        visible = Visible(source)
    except SourceError:
        return
    for index, character in enumerate(visible.text):
        if character != PRINTED:
            assert source[visible.start(index)] == character
            assert visible.end(index) == visible.start(index) + 1
        else:
            assert source[visible.start(index)] == "{"
            assert source[visible.end(index) - 1] == "}"
    assert visible.start(len(visible.text)) == len(source)


def test_what_prints_nothing_is_invisible_and_what_prints_is_one_character() -> None:
    source = "a{% if x %}b{{ x }}{% comment %}c{{ y }}{% endcomment %}{% raw %}{{ z }}{% endraw %}{% endif %}"
    source += "{% echo w %}"
    assert Visible(source).text == f"ab{PRINTED}{{{{ z }}}}{PRINTED}"


def test_a_construct_has_a_length_limit() -> None:
    with pytest.raises(SourceError, match="1,000 characters"):
        pieces("{{ " + "x" * 1_000 + " }}")
