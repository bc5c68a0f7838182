"""Writes the parts of the documentation that come out of the code: ``python -m tools.docs``.

The step reference comes from the definition's models, the settings from theirs, the command reference from the
command line itself, the picture from the reference journey. ``--check`` writes nothing, and says what is not current.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tools import docs_cli, docs_picture, docs_settings, docs_steps

ROOT = Path(__file__).parents[1]

GENERATED: Mapping[str, Callable[[], str]] = {
    "docs/steps.md": docs_steps.page,
    "docs/settings.md": docs_settings.page,
    "docs/cli.md": docs_cli.page,
    "docs/reference-journey.svg": docs_picture.picture,
}
"""File → what belongs into it."""


def stale() -> list[str]:
    """Return the files that do not say what the code says."""
    return [name for name, content in GENERATED.items() if _read(ROOT / name) != content()]


def write() -> list[str]:
    """Write every file that is not current; return their names."""
    changed = stale()
    for name in changed:
        (ROOT / name).write_text(GENERATED[name](), encoding="utf-8")
    return changed


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(arguments: list[str]) -> int:
    """Write or check; returns the exit status."""
    if arguments not in ([], ["--check"]):
        print("python -m tools.docs [--check]", file=sys.stderr)
        return 2
    if arguments:
        for name in (old := stale()):
            print(f"{name} is not current; write it anew: python -m tools.docs")
        return 1 if old else 0
    for name in write():
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
