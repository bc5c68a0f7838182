"""Segments: named sets of profiles, by rule or by list."""
