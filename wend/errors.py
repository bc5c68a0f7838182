"""The tree of errors.

WendError
├── InvalidDocument      a definition, rule, message or import that does not hold; lists every problem
├── NotFound             a thing that was named does not exist
├── Conflict             the thing exists, but what was asked does not fit its state
└── Unavailable          something outside (database, Temporal, provider) does not answer now

Errors carry ids as attributes and build their own message: what happened, to which id, what to do next.
HTTP status codes are known to ``api/errors.py`` alone.
"""

from collections.abc import Iterable

from wend.journeys.problems import Problem

__all__ = ["Conflict", "InvalidDocument", "NotFound", "Problem", "Unavailable", "WendError"]


class WendError(Exception):
    """Anything that Wend refuses or cannot do, said in words for the caller."""


class InvalidDocument(WendError, ValueError):
    """The document has problems; all of them are listed, none is applied."""

    def __init__(self, what: str, problems: Iterable[Problem]) -> None:
        self.what = what
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{what} has {len(self.problems)} problem(s):{lines}")


class NotFound(WendError, LookupError):
    """Nothing of this kind has this id."""

    def __init__(self, kind: str, id: object, hint: str = "") -> None:
        self.kind = kind
        self.id = str(id)
        super().__init__(f"There is no {kind} {self.id!r}." + (f" {hint}" if hint else ""))


class Conflict(WendError):
    """What was asked does not fit the state that the thing is in."""


class Unavailable(WendError):
    """Something outside does not answer now; the same call may go through later."""

    def __init__(self, what: str, detail: str) -> None:
        self.what = what
        super().__init__(f"{what} does not answer: {detail}. Nothing was changed; try again.")
