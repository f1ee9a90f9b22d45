"""What carries a database from one version of the tables to the next.

`version_N.upgrade` makes tables of version N from those of N - 1. It knows the tables as they were then, not today's
models. Doing it twice is doing it once: MySQL and MariaDB keep each changed table at once, so that an upgrade that
was interrupted is done again from its beginning. The number in the database is written when all is done.

Why this is not peewee's own runner is told in docs/architecture.md.
"""

from collections.abc import Callable, Mapping

import peewee

from qlmhook.storage.migrations import version_2

MIGRATIONS: Mapping[int, Callable[[peewee.Database], None]] = {2: version_2.upgrade}
"""What makes the tables of a version, for each version after the first."""
