"""Profiles: people with identities, attributes and a time zone."""
