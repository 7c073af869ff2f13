"""The sessions of a test's user: `records` reads what nono wrote, `detached` starts some and attaches,
`xterm` shows what a person sees of them."""
