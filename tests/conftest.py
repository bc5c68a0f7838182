"""Fixtures that every ring may ask for; none starts anything before a test asks."""

from importlib.util import find_spec

pytest_plugins = ["tests.support.postgres", "tests.support.temporal"]
if find_spec("tests.support.databases"):
    pytest_plugins.append("tests.support.databases")
