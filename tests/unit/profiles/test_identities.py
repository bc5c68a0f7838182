"""One spelling per identity."""

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from wend.profiles import identities
from wend.profiles.identities import normalise_identity


@pytest.mark.parametrize(
    ("namespace", "written", "kept"),
    [
        ("email", "anna@example.com", "anna@example.com"),
        ("email", " Anna.B+x@EXAMPLE.com ", "Anna.B+x@example.com"),
        ("email", "anna@BÜCHER.example", "anna@xn--bcher-kva.example"),
        ("email", "zoë@example.com", "zoë@example.com"),
        ("phone", "+33612345678", "+33612345678"),
        ("phone", "+33 (0)6 12-34.56 78", "+33612345678"),
        ("phone", "+390612345678", "+390612345678"),  # Italy keeps its zero
        ("external_id", "any string: ü/1 ", "any string: ü/1 "),
        ("crm_id", "Ab-1", "Ab-1"),
    ],
)
def test_an_identity_is_kept_in_one_spelling(namespace: str, written: str, kept: str) -> None:
    assert normalise_identity(namespace, written) == kept
    assert normalise_identity(namespace, kept) == kept


def test_a_number_without_a_country_is_read_in_the_given_one() -> None:
    assert normalise_identity("phone", "06 12 34 56 78", "FR") == "+33612345678"
    with pytest.raises(ValueError, match="write it with \\+ and the country"):
        normalise_identity("phone", "06 12 34 56 78")


@pytest.mark.parametrize(
    ("namespace", "written", "message"),
    [
        ("email", "nobody", "no e-mail address"),
        ("email", "a@localhost", "no e-mail address"),
        ("email", "a..b@example.com", "no e-mail address"),
        ("email", f"{'a' * 250}@example.com", "no e-mail address"),
        ("email", f"a@{'b.' * 130}com", "no e-mail address"),
        ("phone", "+331234", "too few or too many digits"),
        ("phone", "+5550100", "too few or too many digits"),
        ("phone", "+999123456789", "no phone number"),
        ("phone", "+33612345678 ext. 3", "extension"),
        ("phone", "call me", "no phone number"),
        ("crm_id", "a\nb", "control character"),
        ("crm_id", "a\0b", "control character"),
        ("crm_id", "a\ud800b", "control character"),
        ("crm_id", "  ", "blank"),
        ("email", "", "blank"),
        ("external_id", "x" * 513, "513 characters"),
    ],
)
def test_what_is_no_identity_is_refused_without_repeating_it(namespace: str, written: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        normalise_identity(namespace, written)
    assert not written.strip() or written not in str(caught.value)


def parsed(number: str) -> str | None:
    """What the library alone makes of a number; None if it is none."""
    try:
        found = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(found) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    formatted: str = phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)
    return formatted


codes = st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


@given(codes, st.from_regex(r"\A[0-9]{3,13}\Z"))
def test_the_short_way_for_numbers_agrees_with_the_library(code: int, national: str) -> None:
    number = f"+{code}{national}"
    if identities._is_plain(number):
        assert parsed(number) == number


@pytest.mark.parametrize("code", sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
def test_the_short_way_is_taken_for_the_example_number_of_most_countries(code: int) -> None:
    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]:
        example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        if example:
            number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            assert normalise_identity("phone", number) == parsed(number) == number


words = st.text(st.sampled_from("abcXYZ019.-_+!'@ \"äß"), max_size=20)
domains = st.sampled_from(
    ["example.com", "EXAMPLE.org", "bücher.example", "localhost", "a_b.com", "-x.com", "x..com", ""]
)


@given(words, domains)
def test_the_short_way_for_addresses_agrees_with_the_library(local: str, domain: str) -> None:
    address = f"{local}@{domain}".strip()
    try:
        parts = validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        with pytest.raises(ValueError, match="e-mail"):
            normalise_identity("email", address)
    else:
        assert normalise_identity("email", address) == f"{parts.local_part}@{parts.ascii_domain}"
