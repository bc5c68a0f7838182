"""One spelling per identity, so that the same address is found again however it was written."""

import re
import unicodedata
from functools import lru_cache

import phonenumbers
from email_validator import EmailNotValidError, validate_email

LONGEST_IDENTITY = 512

EXTERNAL_ID = "external_id"
"""The namespace of the caller's own id: any string, and no two profiles share one."""

# What most addresses look like: an ASCII dot-atom, for which email-validator changes nothing and only counts.
_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LONGEST_LOCAL = 64
_LONGEST_EMAIL = 254


def normalise_identity(namespace: str, value: str, region: str | None = None) -> str:
    """Return the identity as it is stored and searched for.

    ``email``: the domain in lower case and ASCII, the part before the @ as it was (only its server knows whether
    case matters there); nothing is looked up. ``phone``: E.164, such as +33612345678. Any other namespace: the
    value itself.

    Args:
        namespace: What kind of identity it is.
        value: The identity as somebody wrote it.
        region: ISO country of phone numbers without a ``+``: ``FR``. None refuses those.

    Raises:
        ValueError: It is no identity of its kind. The message does not repeat it.
    """
    if len(value) > LONGEST_IDENTITY:
        raise ValueError(f"has {len(value)} characters; at most {LONGEST_IDENTITY} are kept")
    if not value.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ValueError("holds a control character")
    if not value.strip():
        raise ValueError("is blank")
    match namespace:
        case "email":
            return _email(value.strip())
        case "phone":
            return _phone(value.strip(), region)
        case _:
            return value


def _email(address: str) -> str:
    local, at, domain = address.rpartition("@")
    try:
        if at and len(local) <= _LONGEST_LOCAL and _PLAIN_LOCAL.fullmatch(local):
            plain = f"{local}@{_ascii_domain(domain)}"
            if len(plain) <= _LONGEST_EMAIL:
                return plain
        parts = validate_email(address, check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(f"is no e-mail address: {error}") from error
    return f"{parts.local_part}@{parts.ascii_domain}"


@lru_cache(maxsize=16_384)
def _ascii_domain(domain: str) -> str:
    found: str = validate_email(f"a@{domain}", check_deliverability=False).ascii_domain
    return found


def _phone(number: str, region: str | None) -> str:
    if _is_plain(number):
        return number
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE and not number.startswith("+"):
            raise ValueError("is no international phone number: write it with + and the country's code") from error
        raise ValueError(f"is no phone number: {str(error).partition(') ')[2] or error}") from error
    if parsed.extension:
        raise ValueError("has an extension, which no text message reaches")
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise ValueError("is no phone number: it has too few or too many digits for its country")
    formatted: str = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return formatted


def _is_plain(number: str) -> bool:
    """Return whether this is E.164 already, so that parsing and formatting it would change nothing.

    Parsing costs more than all else that an import checks of a line. What it would do to a number that begins with
    + and a country's code is to strip a national prefix, where there is one, and to count the digits.
    """
    if not _E164.fullmatch(number):
        return False
    for end in (2, 3, 4):
        if rules := _country(number[1:end]):
            prefix, lengths = rules
            national = number[end:]
            return len(national) in lengths and national[0] != "0" and not (prefix and prefix.match(national))
    return False


@lru_cache(maxsize=1_000)
def _country(code: str) -> tuple[re.Pattern[str] | None, frozenset[int]] | None:
    """Return the pattern of the national prefix and the possible lengths; None if no country has this code."""
    if int(code) not in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        return None
    region = phonenumbers.region_code_for_country_code(int(code))
    metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    assert metadata is not None  # every country's code has some
    assert metadata.general_desc is not None
    prefix = metadata.national_prefix_for_parsing
    return re.compile(prefix) if prefix else None, frozenset(metadata.general_desc.possible_length)
