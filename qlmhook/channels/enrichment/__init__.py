"""Asking a shop for what its message only names."""
