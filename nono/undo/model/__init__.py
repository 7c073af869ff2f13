"""Define the values of undo, and the decisions about them."""
