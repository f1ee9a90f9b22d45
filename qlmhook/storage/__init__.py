"""The database: its engines, its tables, and how those of an earlier release become those of today."""
