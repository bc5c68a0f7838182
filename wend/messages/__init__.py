"""Messages: content for one channel, its templates and links, and the tokens that links carry.

Pure, but for ``store``: no database, no HTTP. Start at ``content`` (what is stored), ``context`` (what templates
see), ``links`` (``render``, ``declared_links``), ``templates`` (``variables``), ``checks`` and ``tokens``.
"""
