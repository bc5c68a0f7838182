"""Tables, migrations and queries: the same code on SQLite and PostgreSQL."""
