"""What every test stands on."""

from __future__ import annotations

import os

from hypothesis import settings

# No database: an ordinary user may run the suite in a checkout that is not theirs to write.
settings.register_profile("nono", database=None, deadline=None)
settings.register_profile("long", parent=settings.get_profile("nono"), max_examples=5000)
settings.load_profile("long" if os.environ.get("NONO_TEST_LONG") else "nono")
