"""`nono trust`: signs, verifies and approves the files that instruct an agent."""
