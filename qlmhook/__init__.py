"""qlmhook turns a sale into a delivered software license."""

from importlib.metadata import version

__version__ = version("qlmhook")
