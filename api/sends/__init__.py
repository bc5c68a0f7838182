"""Sent messages over HTTP, and what providers tell of them."""
