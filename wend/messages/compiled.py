"""A message compiled: its templates, and its links with names, numbers and every problem that can be seen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from liquid.builtin.expressions import FilteredExpression, PositionalArgument, StringLiteral
from liquid.builtin.expressions.filtered import Filter

from wend.errors import Problem
from wend.messages.anchors import find_anchors, name_problem, rewritten
from wend.messages.content import EmailContent, MessageContent
from wend.messages.destinations import normalised, refusal
from wend.messages.errors import Part, where
from wend.messages.templates import Place, Template, compile_checked, compile_part, roots
from wend.messages.tracking import HTML, SUBJECT, TEXT, HrefNode, Mention

MAX_LINKS: Final = 500


@dataclass(frozen=True)
class CompiledMessage:
    """What rendering needs. Nothing may be rendered while there are problems.

    Attributes:
        templates: By part, in the order in which people read them.
        mentions: By part, what tag and filter look up while rendering.
        names: Names of the links; number n is the n-th.
        problems: What is wrong, all of it.
        remarks: What is worth saying and forbids nothing.
    """

    templates: tuple[Template, ...]
    mentions: Mapping[Part, Mapping[str, Mention]]
    names: tuple[str, ...]
    problems: tuple[Problem, ...]
    remarks: tuple[Problem, ...]


@dataclass(frozen=True)
class _Use:
    """One mention of a tracked link; ``name`` is None for one without, ``literal`` is a destination without Liquid."""

    part: Part
    key: str
    line: int
    name: str | None
    literal: str | None
    place: Place
    roots: frozenset[str]


@lru_cache(maxsize=64)
def compiled(content: MessageContent) -> CompiledMessage:
    """Return the message compiled. Equal contents are compiled once per process, and the last 64 are kept."""
    message = _Compilation()
    if isinstance(content, EmailContent):
        message.plain("subject", content.subject)
        message.html(content.html)
        if content.text is not None:
            message.text(content.text)
    else:
        message.text(content.text)
    return message.finished()


class _Compilation:
    def __init__(self) -> None:
        self.templates: list[Template] = []
        self.uses: list[_Use] = []
        self.mentions: dict[Part, dict[str, Mention]] = {}
        self.problems: list[Problem] = []
        self.remarks: list[Problem] = []

    def plain(self, part: Part, source: str) -> None:
        template, problems = compile_part(part, source, SUBJECT)
        self._add(template, problems)

    def html(self, source: str) -> None:
        # As written first: what is wrong with the Liquid is said of it, and not of what we made of it.
        template, problems = compile_part("html", source, HTML)
        anchors = find_anchors(source)
        if template is None:
            self.problems += problems
            return
        self.problems += anchors.problems
        self.remarks += anchors.remarks
        template, problems = compile_checked("html", rewritten(source, anchors.found), HTML)
        self._add(template, problems)
        if template is None:
            return
        places = {node.index: (node, place) for node, place in template.nodes() if isinstance(node, HrefNode)}
        for index, anchor in enumerate(anchors.found):
            key = str(index)
            if not anchor.tracked:
                self.mentions.setdefault("html", {})[key] = Mention(anchor.line, "", 0)
            elif key in places:
                node, place = places[key]
                used = frozenset(template.roots(node))
                self.uses.append(_Use("html", key, anchor.line, anchor.name, anchor.literal, place, used))

    def text(self, source: str) -> None:
        template, problems = compile_part("text", source, TEXT)
        self._add(template, problems)
        if template is None:
            return
        for expression, place in template.filtered():
            for position, filter_ in enumerate(expression.filters or ()):
                if filter_.name == "link":
                    self._link(template, expression, position, filter_, place)

    def _link(
        self, template: Template, expression: FilteredExpression, position: int, filter_: Filter, place: Place
    ) -> None:
        line = template.line(filter_.token.start_index)
        left = expression.left
        name: str | None = None
        if filter_.args:
            given, argument = filter_.args[0], filter_.args[0].value
            if (
                len(filter_.args) > 1
                or not isinstance(given, PositionalArgument)
                or not isinstance(argument, StringLiteral)
            ):
                self._say("text", line, "a link's name is one plain text: {{ url | link: 'product-details' }}")
                return
            name = argument.value
            if problem := name_problem(name):
                self._say("text", line, problem)
                return
        if position < len(expression.filters or ()) - 1:
            self._say("text", line, "nothing may follow the filter 'link': it would change the tracked address")
            return
        literal = normalised(left.value) if isinstance(left, StringLiteral) and position == 0 else None
        if literal is not None and (reason := refusal(literal)):
            self._say("text", line, reason)
            return
        key = name or f"unnamed {len(self.uses)}"
        if name is None:
            # The filter finds its link by the name it is called with.
            filter_.args.append(PositionalArgument(StringLiteral(filter_.token, key)))
        self.uses.append(_Use("text", key, line, name, literal, place, frozenset(roots([expression]))))

    def finished(self) -> CompiledMessage:
        names: list[str] = []
        for use, name in self._named():
            if name not in names:
                names.append(name)
            mention = Mention(use.line, name, names.index(name) + 1)
            self.mentions.setdefault(use.part, {}).setdefault(use.key, mention)
            if changing := sorted(use.roots & use.place.loops):
                self._say(use.part, use.line, _in_loop(name, changing[0], use.part))
        self._conflicts()
        if len(names) > MAX_LINKS:
            self.problems.append(Problem("", f"the message has {len(names)} links; at most {MAX_LINKS} can be tracked"))
        return CompiledMessage(
            tuple(self.templates), self.mentions, tuple(names), tuple(self.problems), tuple(self.remarks)
        )

    def _named(self) -> Iterator[tuple[_Use, str]]:
        unnamed = 0
        for use in self.uses:
            unnamed += use.name is None
            yield use, use.name or f"link-{unnamed}"

    def _conflicts(self) -> None:
        """Report names that always have two destinations; what conditions decide shows when it is rendered."""
        first: dict[str, _Use] = {}
        for use in self.uses:
            if use.name is None or use.literal is None or use.place.conditional:
                continue
            known = first.setdefault(use.name, use)
            if known.literal != use.literal:
                elsewhere = where(known.part, known.line)
                self._say(use.part, use.line, f"link {use.name!r} leads elsewhere than in {elsewhere}; rename one")

    def _add(self, template: Template | None, problems: list[Problem]) -> None:
        self.problems += problems
        if template is not None:
            self.templates.append(template)

    def _say(self, part: Part, line: int, reason: str) -> None:
        self.problems.append(Problem(where(part, line), reason))


def _in_loop(name: str, variable: str, part: Part) -> str:
    remedy = 'mark it data-track="off"' if part == "html" else "leave out the filter 'link'"
    return f"link {name!r} has another destination in every round ({variable}), and a link has one; {remedy}"
