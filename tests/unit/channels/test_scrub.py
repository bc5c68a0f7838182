import pytest
from hypothesis import given
from hypothesis import strategies as st

from wend.channels.scrub import parts_of_address, scrub

KNOWN = (*parts_of_address("ada.lovelace+news@example.org"), "Something new for Ada")


@pytest.mark.parametrize(
    ("answer", "scrubbed"),
    [
        ("no such mailbox", "no such mailbox"),
        ("<ada.lovelace+news@example.org>: unknown", "[…]>: unknown"),
        ("user ada.lovelace not found", "user […] not found"),
        ("user ADA.LOVELACE not found", "user […] not found"),
        ("relay for postmaster@other.example denied", "relay for [address] denied"),
        ("see https://provider.example/x?y=z now", "see [link] now"),
        ("cannot reach +44 7700 900123", "cannot reach [number]"),
        ("rejected: 'Dear friend' is spam", "rejected: [quoted] is spam"),
        ("subject Something new for Ada is spam", "subject […] is spam"),
        ("two\r\nlines\x00here", "two lines here"),
    ],
)
def test_people_are_taken_out_of_an_answer(answer: str, scrubbed: str) -> None:
    assert scrub(answer, KNOWN).replace("<[…]", "[…]") == scrubbed


def test_a_long_answer_is_cut() -> None:
    assert len(scrub("word " * 100)) == 200


@given(before=st.text(), after=st.text())
def test_an_address_never_gets_through(before: str, after: str) -> None:
    assert "@" not in scrub(f"{before} ada.lovelace@example.org {after}")
    assert "lovelace" not in scrub(f"{before} ada.lovelace@example.org {after}", KNOWN)
