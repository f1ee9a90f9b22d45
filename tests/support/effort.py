"""How often the proofs by load and by killing try: a few times in the suite, more with QLMHOOK_TEST_EFFORT."""

import os

EFFORT = int(os.environ.get("QLMHOOK_TEST_EFFORT", "1"))
"""How many times as long these proofs are: 1 in the suite."""
