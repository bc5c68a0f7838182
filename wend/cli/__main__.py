"""``python -m wend.cli``: the same as ``wend``."""

from wend.cli import main

main()
