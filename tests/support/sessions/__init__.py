"""The sessions of a test's user: `records` reads what nono has written of them."""
