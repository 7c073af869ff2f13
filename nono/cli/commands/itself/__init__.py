"""Commands about nono itself: its help, its version, and all that it keeps for a person."""
