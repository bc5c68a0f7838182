"""Installations for the ring's tests: one for each database, as long as the module's tests last."""

from collections.abc import Callable, Iterator

import pytest

from tests.chaos.driving import forking, installed
from tests.chaos.site import Kind, Site
from tests.chaos.zygote import Zygote


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    """Something that forks Wend processes."""
    with forking() as started:
        yield started


@pytest.fixture(scope="module")
def site_on_sqlite(zygote: Zygote) -> Iterator[Site]:
    """An installation on SQLite."""
    with installed("sqlite", zygote) as site:
        yield site


@pytest.fixture(scope="module")
def site_on_postgresql(zygote: Zygote) -> Iterator[Site]:
    """An installation on PostgreSQL."""
    with installed("postgresql", zygote) as site:
        yield site


@pytest.fixture(scope="module")
def site_of_broken_builds(zygote: Zygote) -> Iterator[Site]:
    """An installation whose Wend is one broken build after another; their lines share no key."""
    with installed("sqlite", zygote) as site:
        yield site


@pytest.fixture
def site_on(request: pytest.FixtureRequest) -> Callable[[Kind], Site]:
    """Return the installation on a database, started by whoever asks first."""

    def chosen(kind: Kind) -> Site:
        site: Site = request.getfixturevalue(f"site_on_{kind}")
        return site

    return chosen
