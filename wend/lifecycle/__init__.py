"""A journey's life: drafts, versions, publish, close, stop; and its figures."""
