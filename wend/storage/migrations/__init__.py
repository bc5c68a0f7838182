"""The schema's history, one module a step; applied by ``wend.storage.schema``."""
