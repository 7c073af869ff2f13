"""Keys that sign: `key` signs with one, `keystore` makes, stores and finds them, `public` their
public halves."""
