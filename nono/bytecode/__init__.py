"""Keep the bytecode of what a start imports in one file: `finder` imports from it, `writer` writes it."""
