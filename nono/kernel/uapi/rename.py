"""Mirror of the flags of renameat2(2), from <linux/fs.h> as Linux 6.12 has it."""

from __future__ import annotations

RENAME_NOREPLACE = 1 << 0  # 3.15
RENAME_EXCHANGE = 1 << 1  # 3.15
