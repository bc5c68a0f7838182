"""Liquid that a stranger may write: what it costs is bounded, what is unknown is an error.

python-liquid limits nesting, output and the length of one loop. Left open are loops one after the other, filters
that multiply (``replace``), ranges that are listed before a loop counts them, and arithmetic that takes what is
missing for zero. All of it is closed here, by counting and never by the clock, so that the same message for the
same person always comes out the same.
"""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from liquid import BoundTemplate, Environment, RenderContext
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.builtin.tags.tablerow_tag import TablerowNode, TablerowTag
from liquid.exceptions import (
    FilterArgumentError,
    LiquidError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    ResourceLimitError,
    UndefinedError,
)
from liquid.expression import Expression
from liquid.filter import with_context
from liquid.output import LimitedStringIO
from liquid.undefined import StrictUndefined
from liquid.utils import ReadOnlyChainMap

MAX_OUTPUT: Final = 1_000_000  # bytes of one part
MAX_VALUE: Final = 250_000  # characters or items that a filter may return
MAX_LOCALS: Final = 1_000_000  # bytes of what assign and capture keep
MAX_ROUNDS: Final = 10_000  # of all loops of one part together
MAX_RANGE_END: Final = 10_000
MAX_NUMBER_BITS: Final = 256
# Rounds of each loop times the nodes in it, all loops of a part together.
MAX_STEPS: Final = 200_000
# What filters may cost in all: a call is 20, a character or item made is 1.
_MAX_FILTER_WORK: Final = 4_000_000
_CALL: Final = 20

Filter = Callable[..., Any]


class Unknown(StrictUndefined):
    """A value that is not there: an error wherever it is used, but for conditions and ``default``."""

    __slots__ = ()

    allowed_properties = StrictUndefined.allowed_properties | {"__class__", "__liquid__", "refuse"}
    force_liquid_default = True

    def __bool__(self) -> bool:
        return False

    def refuse(self) -> UndefinedError:
        """Return the error that names this value."""
        return UndefinedError(self.msg, token=self.token)


class BoundedContext(RenderContext):
    """The state of one rendering, which counts what it costs.

    Attributes:
        state: What tags and filters of ours share while one part is rendered.
        loop_size: Nodes in the loop that begins next.
    """

    def __init__(self, template: BoundTemplate, names: Mapping[str, object], state: object) -> None:
        super().__init__(template, globals=names)
        # Without the library's ``now`` and ``today``, which read the host's clock.
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)
        self.state = state
        self.loop_size = 1
        self._rounds = 0
        self._steps = 0
        self._work = 0
        self._locals_size = 0

    def get_buffer(self, buf: TextIO | None = None) -> LimitedStringIO:
        """Return a buffer for what a block prints; the library's makes LF of CRLF."""
        written = buf.size if isinstance(buf, LimitedStringIO) else 0
        return LimitedStringIO(limit=MAX_OUTPUT - written, newline="")

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Count the rounds of a loop that begins, inner loops each time anew."""
        self._rounds += length
        self._steps += length * self.loop_size
        if self._rounds > MAX_ROUNDS or self._steps > MAX_STEPS:
            raise LoopIterationLimitError("the loops take too many rounds", token=None)

    def assign(self, key: str, val: Any) -> None:
        """Keep a value, counting its size without looking at all the others again."""
        self._locals_size += sys.getsizeof(val) - sys.getsizeof(self.locals.get(key, 0))
        self.locals[key] = val
        if self._locals_size > MAX_LOCALS:
            raise LocalNamespaceLimitError(f"the variables hold more than {MAX_LOCALS:,} bytes", token=None)

    def charge(self, result: object) -> None:
        """Count a filter's work, and refuse a result that is too big."""
        if isinstance(result, int) and result.bit_length() > MAX_NUMBER_BITS:
            raise ResourceLimitError("the number is too big", token=None)
        size = len(result) if isinstance(result, str | list | tuple) else 0
        if size > MAX_VALUE:
            raise ResourceLimitError(f"the value has more than {MAX_VALUE:,} characters or items", token=None)
        self.spend(_CALL + size)

    def spend(self, work: int) -> None:
        """Count ``work`` towards what all filters of a part may cost."""
        self._work += work
        if self._work > _MAX_FILTER_WORK:
            raise ResourceLimitError("the filters have too much to do", token=None)


class BoundedEnd(Expression):
    """An end of a range, at most 10,000 from zero: ``(1..1000000000) | join`` would list them all."""

    __slots__ = ("end",)

    def __init__(self, end: Expression) -> None:
        super().__init__(end.token)
        self.end = end

    def __str__(self) -> str:
        return str(self.end)

    def evaluate(self, context: RenderContext) -> object:
        """Return the end, if it is not too far away."""
        value = self.end.evaluate(context)
        if isinstance(value, Unknown):
            raise value.refuse()
        try:
            number = int(value) if isinstance(value, int | float | str) else 0
        except (ValueError, OverflowError):
            number = 0
        if abs(number) > MAX_RANGE_END:
            raise ResourceLimitError(f"a range ends at most at {MAX_RANGE_END:,}", token=self.token)
        return number

    def children(self) -> list[Expression]:
        """Return the expression in it."""
        return [self.end]


class BoundedForNode(ForNode):
    """``{% for %}`` that says how big it is when it begins; ``size`` is set once the template is compiled."""

    __slots__ = ("size",)
    size: int

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Print the rounds."""
        assert isinstance(context, BoundedContext)
        context.loop_size = self.size
        return super().render_to_output(context, buffer)


class BoundedFor(ForTag):
    """Makes ``BoundedForNode``s."""

    node_class = BoundedForNode


class BoundedTablerowNode(TablerowNode):
    """``{% tablerow %}``, as ``BoundedForNode``."""

    __slots__ = ("size",)
    size: int

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Print the rows."""
        assert isinstance(context, BoundedContext)
        context.loop_size = self.size
        return super().render_to_output(context, buffer)


class BoundedTablerow(TablerowTag):
    """Makes ``BoundedTablerowNode``s."""

    node_class = BoundedTablerowNode


class LocatedOutputNode(OutputNode):
    """``{{ … }}`` whose errors say where it stands, also inside of blocks."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Print the value."""
        try:
            return super().render_to_output(context, buffer)
        except LiquidError as error:
            if error.token is None:
                error.token = self.token
            raise


class LocatedOutput(Output):
    """Makes ``LocatedOutputNode``s."""

    node_class = LocatedOutputNode


def bounded_environment(*, autoescape: bool, filters: Mapping[str, Filter]) -> Environment:
    """Return an environment with the limits above and ``filters`` besides Liquid's own; no other templates load."""
    environment = _BoundedEnvironment(undefined=Unknown, autoescape=autoescape)
    for tag in (LocatedOutput, BoundedFor, BoundedTablerow):
        environment.add_tag(tag)
    for name in ("include", "render"):
        del environment.tags[name]
    for name, function in {**environment.filters, "date": date, "strip_html": strip_html, **filters}.items():
        environment.add_filter(name, _bounded(name, function))
    return environment


class _BoundedEnvironment(Environment):
    output_stream_limit = MAX_OUTPUT
    block_nesting_limit = 20


def _bounded(name: str, function: Filter) -> Filter:
    """Return ``function`` with its cost counted, unknown values refused, and errors that quote no value."""
    wants_environment = getattr(function, "with_environment", False)
    wants_context = getattr(function, "with_context", False)
    takes_unknown = name == "default"
    foresee = _FORESEEN.get(name)

    @with_context
    def bounded(left: object, *args: object, context: BoundedContext, **kwargs: object) -> object:
        if not takes_unknown:
            for value in (left, *args, *kwargs.values()):
                if isinstance(value, Unknown):
                    raise value.refuse()
        if foresee is not None:
            foresee(left, *args)
        if wants_environment:
            kwargs["environment"] = context.env
        if wants_context:
            kwargs["context"] = context
        try:
            result = function(left, *args, **kwargs)
        except (ResourceLimitError, UndefinedError):
            raise
        except (LiquidError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise FilterArgumentError(f"filter '{name}' {_complaint(error)}", token=None) from None
        context.charge(result)
        return result

    return bounded


def _complaint(error: Exception) -> str:
    """Return what to say of a filter's failure: the library's words may quote the value, which is a person's."""
    cause = error.args[0] if error.args else None
    if isinstance(error, FilterRefusal):
        return str(error)
    if isinstance(error, TypeError) or isinstance(cause, TypeError):
        return f"cannot be used like this: {cause}"
    return "cannot use the value it is given"


class FilterRefusal(ValueError):
    """A filter of ours refuses a value, in words that do not quote it."""


def date(value: object, format: str = "%Y-%m-%d") -> str:
    """Print an ISO 8601 date or date-time, or a Unix time in UTC, with ``strftime``; the clock cannot be asked."""
    if value in ("now", "today"):
        raise FilterRefusal("does not know the time of sending; pass it as a property of the run")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FilterRefusal("takes an ISO 8601 date or date-time")
    try:
        instant = datetime.fromtimestamp(value, UTC) if isinstance(value, int) else datetime.fromisoformat(value)
    except (ValueError, OverflowError, OSError):
        raise FilterRefusal("takes an ISO 8601 date or date-time") from None
    return instant.strftime(str(format))


def strip_html(value: object) -> str:
    """Remove what looks like a tag, in linear time: the library's takes minutes over ``<a <a <a``."""
    text = _text(value)
    out: list[str] = []
    position = 0
    while (start := text.find("<", position)) >= 0 and (end := text.find(">", start)) >= 0:
        out.append(text[position:start])
        position = end + 1
    return "".join(out) + text[position:]


def _foresee_replace(value: object, search: object = "", by: object = "", *_: object) -> None:
    text = _text(value)
    _fits(len(text) + text.count(_text(search)) * len(_text(by)))


def _foresee_join(value: object, separator: object = " ", *_: object) -> None:
    if isinstance(value, list | tuple | range):
        _fits(sum(len(_text(item)) for item in value) + len(value) * len(_text(separator)))


def _foresee_uniq(value: object, *_: object) -> None:
    # Each item is compared with each.
    if isinstance(value, list | tuple | range) and len(value) > 1_000:
        raise ResourceLimitError("uniq takes at most 1,000 items", token=None)


# What these make is counted before it is made.
_FORESEEN: Mapping[str, Callable[..., None]] = {
    "replace": _foresee_replace,
    "join": _foresee_join,
    "uniq": _foresee_uniq,
}


def _fits(size: int) -> None:
    if size > MAX_VALUE:
        raise ResourceLimitError(f"the value has more than {MAX_VALUE:,} characters", token=None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
