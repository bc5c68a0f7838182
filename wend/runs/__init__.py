"""Runs: the rows that say where everybody is, the decisions that move them, and the ledger of what was sent."""
