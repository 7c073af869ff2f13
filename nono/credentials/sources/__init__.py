"""One module per place a credential can come from."""
