"""Made-up examples are the same in every run, and take as long as they take."""

from hypothesis import settings

settings.load_profile("ci")
