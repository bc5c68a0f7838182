from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wend.errors import WendError
from wend.messages.tokens import (
    ClickTarget,
    ForgedToken,
    InvalidTokenKeys,
    MalformedToken,
    TokenError,
    TokenKeys,
    UnknownKey,
)

OLD, NEW = "1:" + "11" * 32, "2:" + "22" * 32
KEYS = TokenKeys.parse(f"{NEW},{OLD}")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

messages = st.uuids()
numbers = st.integers(1, 0xFFFF)


@given(messages, numbers)
def test_a_token_stands_for_what_was_signed(message: UUID, number: int) -> None:
    token = KEYS.sign(message, number)
    assert len(token) == 47
    assert KEYS.verify(token) == ClickTarget(message, number)


@given(messages, numbers, st.integers(0, 46), st.sampled_from(ALPHABET))
def test_any_changed_character_is_refused(message: UUID, number: int, position: int, character: str) -> None:
    token = KEYS.sign(message, number)
    altered = token[:position] + character + token[position + 1 :]
    if altered != token:
        with pytest.raises(TokenError):
            KEYS.verify(altered)


def test_no_character_of_a_token_can_be_changed_at_all() -> None:
    token = KEYS.sign(UUID(int=7), 3)
    for position in range(47):
        for character in ALPHABET:
            if character != token[position]:
                with pytest.raises(TokenError):
                    KEYS.verify(token[:position] + character + token[position + 1 :])


@given(st.text())
def test_any_text_is_refused_as_malformed_or_forged(text: str) -> None:
    with pytest.raises(TokenError):
        KEYS.verify(text)


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda t: "", id="empty"),
        pytest.param(lambda t: t[:-1], id="truncated"),
        pytest.param(lambda t: t + "A", id="longer"),
        pytest.param(lambda t: t + "=", id="padded"),
        pytest.param(lambda t: t + "\n", id="line-break-after"),
        pytest.param(lambda t: " " + t[1:], id="space"),
        pytest.param(lambda t: "+" + t[1:], id="plain-base64-plus"),
        pytest.param(lambda t: "/" + t[1:], id="plain-base64-slash"),
        pytest.param(lambda t: "é" + t[1:], id="not-ascii"),
        pytest.param(lambda t: "Ａ" + t[1:], id="full-width-letter"),
        # 35 bytes leave two bits of the last character unused; set, it would be another spelling of the token.
        pytest.param(lambda t: t[:-1] + ALPHABET[ALPHABET.index(t[-1]) | 1], id="spare-bit-set"),
    ],
)
def test_what_is_not_written_like_a_token_is_malformed(alter) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MalformedToken):
        KEYS.verify(alter(KEYS.sign(UUID(int=7), 3)))


def test_tokens_signed_before_a_rotation_still_verify() -> None:
    token = TokenKeys.parse(OLD).sign(UUID(int=7), 3)
    assert KEYS.verify(token) == ClickTarget(UUID(int=7), 3)
    assert token != KEYS.sign(UUID(int=7), 3)


def test_the_first_key_signs() -> None:
    assert TokenKeys.parse(NEW).verify(KEYS.sign(UUID(int=7), 3)).number == 3


def test_a_key_that_was_taken_away_is_unknown() -> None:
    with pytest.raises(UnknownKey, match="key 2") as caught:
        TokenKeys.parse(OLD).verify(KEYS.sign(UUID(int=7), 3))
    assert caught.value.key_id == 2


def test_another_secret_under_the_same_id_is_a_forgery() -> None:
    with pytest.raises(ForgedToken, match="key 2"):
        TokenKeys.parse("2:" + "33" * 32).verify(KEYS.sign(UUID(int=7), 3))


@pytest.mark.parametrize("number", [0, -1, 65_536])
def test_numbers_that_do_not_fit_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="link number"):
        KEYS.sign(UUID(int=7), number)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        pytest.param("", "number 1", id="empty"),
        pytest.param(f"{OLD},", "number 2", id="trailing-comma"),
        pytest.param("1:xyz", "number 1", id="not-hex"),
        pytest.param("1:abc", "number 1", id="half-a-byte"),
        pytest.param("1:" + "ab" * 15, "shorter than 16", id="short"),
        pytest.param("256:" + "ab" * 16, "out of range", id="id-too-big"),
        pytest.param(f"{OLD},{OLD}", "twice", id="twice"),
        pytest.param("ab" * 32, "number 1", id="no-id"),
    ],
)
def test_keys_that_cannot_be_used_are_refused_without_repeating_them(setting: str, message: str) -> None:
    with pytest.raises(InvalidTokenKeys, match=message) as caught:
        TokenKeys.parse(setting)
    assert "abab" not in str(caught.value)


def test_keys_do_not_show_their_secrets() -> None:
    assert "22" not in repr(KEYS)
    assert repr(KEYS) == "TokenKeys(ids=[2, 1])"


def test_every_refusal_is_an_error_of_ours() -> None:
    assert issubclass(TokenError, WendError)
    assert issubclass(InvalidTokenKeys, WendError)
