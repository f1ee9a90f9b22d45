"""`python -m qlmhook`."""

from qlmhook.cli import main

main()
