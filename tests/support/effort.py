"""How many take part in a proof by load or by killing: few in the suite, more with QLMHOOK_TEST_EFFORT."""

import os

EFFORT = int(os.environ.get("QLMHOOK_TEST_EFFORT", "1"))
"""How many times as many as in the suite."""
