"""The reference journey as a picture: one row of boxes, with the branch that leaves early beneath."""

from html import escape
from itertools import pairwise

from wend.documents import read_definition
from wend.journeys.definition import JourneyDefinition
from wend.journeys.durations import format_duration
from wend.journeys.state import EXIT
from wend.journeys.steps import AnyStep, SendEmail, SendSms, WaitForClick, WaitUntil

REFERENCE = """\
key: product-launch
name: Product launch announcement
time_zone: Europe/Paris
entry:
  segment: most-valuable-customers
  exclude: [employees]
  namespace: email
steps:
  - {id: announce, type: send_email, message: product-announcement}
  - {id: interested, type: wait_for_click, sent_by: announce, link: product-details, within: P1D,
     on_click: launch-day, on_timeout: exit}
  - {id: launch-day, type: wait_until, at: 2026-12-10T09:00}
  - {id: launched, type: send_sms, message: product-launched}
"""
"""The journey as the README shows it."""

WIDTH, HEIGHT, GAP, TOP = 150, 74, 42, 62
MARGIN = 24

STYLE = """
    .panel { fill: #ffffff; stroke: #d7dce3 }
    .send { fill: #e4f0fb; stroke: #2f6fab }
    .wait { fill: #fdf1d8; stroke: #a9741a }
    .end { fill: #eceff3; stroke: #5c6675 }
    text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; text-anchor: middle }
    .id { font-size: 15px; font-weight: 600; fill: #1c232d }
    .what { font-size: 12px; fill: #45505f }
    .way { font-size: 12px; fill: #45505f }
    .line { fill: none; stroke: #5c6675; stroke-width: 1.6 }
    .head { fill: #5c6675 }
    @media (prefers-color-scheme: dark) {
      .panel { fill: #171b21; stroke: #38404b }
      .send { fill: #16324b; stroke: #6cb2ee }
      .wait { fill: #43320f; stroke: #e0ad55 }
      .end { fill: #2a3039; stroke: #9aa5b4 }
      .id { fill: #f0f3f7 }
      .what, .way { fill: #c0c8d2 }
      .line { stroke: #9aa5b4 }
      .head { fill: #9aa5b4 }
    }"""


def picture() -> str:
    """Return the picture as SVG."""
    return draw(read_definition(REFERENCE))


def draw(definition: JourneyDefinition) -> str:
    """Return a journey as SVG whose steps follow one another, but for branches to the exit."""
    assert definition.entry is not None
    boxes = [("end", " or ".join(definition.entry.segments), "its members enter")]
    boxes += [(_look(step), step.id, _what(step)) for step in definition.steps]
    boxes.append(("end", EXIT, "the run is completed"))
    places = {id: MARGIN + number * (WIDTH + GAP) for number, (_, id, _) in enumerate(boxes)}
    width = 2 * MARGIN + len(boxes) * (WIDTH + GAP) - GAP
    height = TOP + HEIGHT + 78
    parts = [_head(definition, width, height)]
    parts += [_box(look, places[id], id, what) for look, id, what in boxes]
    order = [id for _, id, _ in boxes]
    parts += [_arrow(places[one] + WIDTH, places[other]) for one, other in pairwise(order)]
    for step in definition.steps:
        if isinstance(step, WaitForClick):
            parts.append(_text("way", places[step.id] + WIDTH + GAP / 2, TOP + HEIGHT / 2 - 10, "click"))
            parts.append(_detour(places[step.id], places[EXIT], f"no click within {_say(step)}"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _head(definition: JourneyDefinition, width: int, height: int) -> str:
    ways = "; ".join(f"{step.id}: {_what(step)}" for step in definition.steps)
    title, told = escape(definition.name), escape(f"A journey of {len(definition.steps)} steps. {ways}.")
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title told">\n'
        f'  <title id="title">{title}</title>\n  <desc id="told">{told}</desc>\n  <style>{STYLE}\n  </style>\n'
        f'  <rect class="panel" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="12"/>\n'
        + _text("id", width / 2, 36, definition.name)
    )


def _box(look: str, x: int, id: str, what: str) -> str:
    name = f'  <rect class="{look}" x="{x}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" rx="9"/>'
    lines = [id] if len(id) <= 17 else [id[: id.rfind("-", 0, 18) + 1], id[id.rfind("-", 0, 18) + 1 :]]
    middle, top = x + WIDTH / 2, TOP + 31 - 9 * (len(lines) - 1)
    texts = [_text("id", middle, top + 17 * number, line) for number, line in enumerate(lines)]
    return "\n".join([name, *texts, _text("what", middle, top + 17 * (len(lines) - 1) + 22, what)])


def _arrow(start: int, end: int) -> str:
    y = TOP + HEIGHT // 2
    return f'  <path class="line" d="M {start} {y} H {end - 7}"/>\n  {_point(end, y, "right")}'


def _detour(start: int, end: int, said: str) -> str:
    """Draw the way that leaves a box at its foot and comes to another from beneath."""
    foot, low = TOP + HEIGHT, TOP + HEIGHT + 34
    one, other = start + WIDTH // 2, end + WIDTH // 2
    way = f"M {one} {foot} V {low - 10} q 0 10 10 10 H {other - 10} q 10 0 10 -10 V {foot + 7}"
    line = f'  <path class="line" d="{way}"/>\n  {_point(other, foot, "up")}'
    return f"{line}\n{_text('way', (one + other) / 2, low + 18, said)}"


def _point(x: int, y: int, to: str) -> str:
    others = [(x - 9, y - 5), (x - 9, y + 5)] if to == "right" else [(x - 5, y + 9), (x + 5, y + 9)]
    corners = " ".join(f"{across},{down}" for across, down in [(x, y), *others])
    return f'<polygon class="head" points="{corners}"/>'


def _text(look: str, x: float, y: float, said: str) -> str:
    return f'  <text class="{look}" x="{x:g}" y="{y:g}">{escape(said)}</text>'


def _look(step: AnyStep) -> str:
    if isinstance(step, SendEmail | SendSms):
        return "send"
    return "wait" if step.waits or isinstance(step, WaitUntil) else "end"


def _what(step: AnyStep) -> str:
    match step:
        case SendEmail():
            return "an e-mail"
        case SendSms():
            return "a text message"
        case WaitForClick():
            return "waits for a click"
        case WaitUntil() if step.at is not None:
            return f"waits until {step.at.day} {step.at:%b}"
        case _:
            return step.type.replace("_", " ")


def _say(step: WaitForClick) -> str:
    return "a day" if step.within.total_seconds() == 86_400 else format_duration(step.within)
