"""Values of undo, and what is decided about them."""
