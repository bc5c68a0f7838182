"""Entries: who enters a journey at an occasion, decided set-based, and the starting of their runs."""
