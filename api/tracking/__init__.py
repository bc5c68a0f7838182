"""The links in messages: what recipients reach."""
