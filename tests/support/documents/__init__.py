"""What becomes of the commands that the pages of docs show."""
