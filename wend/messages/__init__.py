"""Messages: content for one channel, its templates and links, and the tokens that links carry.

Pure: no database, no HTTP. Import from the modules: ``content``, ``context``, ``links`` (``render``), ``templates``
(``variables``), ``tokens``, ``checks``.
"""
