"""Reconciliation: a journey's rows are compared with each other and with Temporal, and mended where that is safe.

``asking`` keeps the reconciliations themselves, ``reconciler`` carries one out: ``passages`` and ``occasions`` compare
runs and entries with Temporal's workflows, ``stuck`` finds runs whose next move is overdue by rows alone, ``rows``
compares ledger, journal, outbox, entries and figures. ``findings`` is what comes of it.
"""
