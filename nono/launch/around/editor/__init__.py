"""Stand between an editor and the run that it has started: `front` passes on what `acp` and `lsp` judge."""
