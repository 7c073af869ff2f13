"""What was granted and refused, as values; everything here decides, and what reads files says so."""
