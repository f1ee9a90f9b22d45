"""gunicorn as `qlmhook serve` runs it: its settings, its log, its worker."""
