"""Commands about nono itself: its help, its version, and everything it keeps for a person."""
