"""Liquid templates of a message's parts: compiled once, checked as far as can be seen, rendered strictly.

A variable that is not there is an error that names it, unless a condition asks for it or ``default`` replaces it.
In the HTML part whatever is printed is escaped; ``safe`` prints as is. Templates load no other templates and know
no clock.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from liquid import BoundTemplate, Environment, Expression, Node, RenderContext
from liquid.ast import BlockNode
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import LiquidError, UndefinedError
from liquid.static_analysis import TemplateAnalysis

from wend.errors import InvalidDocument, Problem
from wend.messages.content import EmailContent, MessageContent
from wend.messages.context import RUN_FIELDS
from wend.messages.errors import Part, RenderError, where
from wend.messages.limits import (
    BoundedContext,
    BoundedEnd,
    BoundedForNode,
    BoundedTablerowNode,
    bounded_environment,
)
from wend.messages.source import SourceError, line_of, pieces

ROOTS: Final = ("profile", "run")
_OUR_TAGS: Final = ("wend_", "endwend_")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a template something stands: the names of the loops around it, and whether it may be left out."""

    loops: frozenset[str] = frozenset()
    conditional: bool = False


class Template:
    """One part of a message, compiled."""

    def __init__(self, part: Part, source: str, bound: BoundTemplate) -> None:
        self.part = part
        self.source = source
        self._bound = bound

    def nodes(self) -> Iterator[tuple[Node, Place]]:
        """Yield every node of the template with its place."""
        yield from _walk(self._bound.nodes, RenderContext(self._bound), Place())

    def filtered(self) -> Iterator[tuple[FilteredExpression, Place]]:
        """Yield every expression that has filters, with its place."""
        for node, place in self.nodes():
            for expression in _expressions(node.expressions()):
                if isinstance(expression, FilteredExpression) and expression.filters:
                    yield expression, place

    def roots(self, node: Node) -> set[str]:
        """Return the first names of all paths in a node and what it holds."""
        return {name for each in self.inside(node) for name in roots(each.expressions())}

    def inside(self, node: Node) -> Iterator[Node]:
        """Yield a node and every node in it."""
        yield from (each for each, _ in _walk([node], RenderContext(self._bound), Place()))

    def line(self, position: int) -> int:
        """Return the line that a position is on."""
        return line_of(self.source, position)

    def analysis(self) -> TemplateAnalysis:
        """Return which variables and filters the template uses."""
        return self._bound.analyze(include_partials=False)

    def render(self, names: Mapping[str, object], state: object = None) -> str:
        """Return what the template prints.

        ``state`` is at hand to tags and filters as ``context.state``.

        Raises:
            RenderError: A variable is unknown, a filter cannot use a value, or a limit is reached.
        """
        context = BoundedContext(self._bound, names, state)
        buffer = context.get_buffer()
        try:
            self._bound.render_with_context(context, buffer)
        except LiquidError as error:
            # The chain of causes would carry printed values into histories.
            raise RenderError(self.part, _line(error, self.source), reason_of(error)) from None
        except UnicodeEncodeError:
            raise RenderError(self.part, None, "a value contains half a character and cannot be sent") from None
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            raise RenderError(self.part, None, f"the template fails on a value ({type(error).__name__})") from None
        return buffer.getvalue()


def compile_part(part: Part, source: str, environment: Environment) -> tuple[Template | None, list[Problem]]:
    """Return the template and its problems; None if it cannot be read at all, with the first problem found."""
    try:
        for piece in pieces(source):
            if piece.tag.startswith(_OUR_TAGS):
                raise SourceError(piece.start, f"there is no tag called {piece.tag!r}")
    except SourceError as error:
        return None, [Problem(where(part, line_of(source, error.position)), error.reason)]
    return compile_checked(part, source, environment)


def compile_checked(part: Part, source: str, environment: Environment) -> tuple[Template | None, list[Problem]]:
    """Compile as ``compile_part`` a source of whose constructs is known that they are closed."""
    try:
        template = Template(part, source, environment.from_string(source))
        _bound(template)
        problems = _unknown(template, environment)
    except LiquidError as error:
        return None, [Problem(where(part, _line(error, source)), reason_of(error))]
    except RecursionError:
        return None, [Problem(part, "expressions are nested too deeply")]
    return template, problems


def variables(content: MessageContent) -> tuple[str, ...]:
    """Return what the message's templates use of profile and run, as dotted paths, sorted.

    Raises:
        InvalidDocument: A template cannot be read.
    """
    return _variables(content)


@lru_cache(maxsize=64)
def _variables(content: MessageContent) -> tuple[str, ...]:
    found: set[str] = set()
    problems: list[Problem] = []
    for part, source in sources(content):
        template, problems_here = compile_part(part, source, _ANY_PART)
        if template is None:
            problems += problems_here
            continue
        globals_ = template.analysis().globals
        found.update(str(variable) for root in ROOTS for variable in globals_.get(root, ()))
    if problems:
        raise InvalidDocument("The message", problems)
    return tuple(sorted(found))


def sources(content: MessageContent) -> list[tuple[Part, str]]:
    """Return the parts of a message that are templates, in the order in which people read them."""
    if not isinstance(content, EmailContent):
        return [("text", content.text)]
    parts: list[tuple[Part, str]] = [("subject", content.subject), ("html", content.html)]
    return parts if content.text is None else [*parts, ("text", content.text)]


def reason_of(error: LiquidError) -> str:
    """Return the library's error as a sentence of ours, on one line."""
    words = str(error.message or type(error).__name__).splitlines()[0]
    if isinstance(error, UndefinedError):
        name = words.removesuffix(" is undefined").strip("'")
        if name == words:
            return words
        return f"{name} is unknown for this profile; give it a default: {{{{ {name} | default: '…' }}}}"
    return words


# Knows no filters of ours: it analyses and never renders.
_ANY_PART = bounded_environment(autoescape=False, filters={})


def _line(error: LiquidError, source: str) -> int | None:
    token = error.token
    if token is None or token.source != source or not 0 <= token.start_index <= len(source):
        return None
    return line_of(source, token.start_index)


def _walk(nodes: Iterable[Node], context: RenderContext, place: Place) -> Iterator[tuple[Node, Place]]:
    for node in nodes:
        yield node, place
        inner = place
        if not isinstance(node, BlockNode):
            inner = Place(place.loops | {str(name) for name in node.block_scope()}, conditional=True)
        yield from _walk(node.children(context, include_partials=False), context, inner)


def _expressions(expressions: Iterable[Expression]) -> Iterator[Expression]:
    for expression in expressions:
        yield expression
        yield from _expressions(expression.children())


def roots(expressions: Iterable[Expression]) -> set[str]:
    """Return the first names of all paths in the expressions."""
    return {str(each.head()) for each in _expressions(expressions) if isinstance(each, Path)}


def _bound(template: Template) -> None:
    """Put bounds on every range of the template, and tell every loop its size."""
    for node, _ in template.nodes():
        if isinstance(node, BoundedForNode | BoundedTablerowNode):
            node.size = sum(1 for _ in template.inside(node))
        for expression in _expressions(node.expressions()):
            if isinstance(expression, RangeLiteral) and not isinstance(expression.stop, BoundedEnd):
                expression.start, expression.stop = BoundedEnd(expression.start), BoundedEnd(expression.stop)


def _unknown(template: Template, environment: Environment) -> list[Problem]:
    """Return a problem for every filter and variable that no profile can make known, in the order of the source."""
    analysis = template.analysis()
    found = [
        (span.index, _no_filter(name, template.part))
        for name, spans in analysis.filters.items()
        if name not in environment.filters
        for span in spans
    ]
    for root, uses in analysis.globals.items():
        for use in uses:
            if root not in ROOTS:
                found.append((use.span.index, f"{use} is unknown: templates know profile and run"))
            elif root == "run" and len(use.segments) > 1 and use.segments[1] not in RUN_FIELDS:
                found.append((use.span.index, f"{use} is unknown: run has {', '.join(RUN_FIELDS)}"))
    return [Problem(where(template.part, template.line(index)), reason) for index, reason in sorted(found)]


def _no_filter(name: str, part: Part) -> str:
    if name == "link":
        remedy = 'name a link with data-link="…" on its <a>' if part == "html" else "a subject has no links"
        return f"the filter 'link' is for text; {remedy}"
    return f"there is no filter called {name!r}"
