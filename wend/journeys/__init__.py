"""The kernel: what a journey means. Standard library and pydantic only; no clock, no database, no Temporal."""
