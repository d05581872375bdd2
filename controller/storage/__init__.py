"""SQLAlchemy Core tables and explicit row <-> domain functions; SQLite and PostgreSQL alike."""
