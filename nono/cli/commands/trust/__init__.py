"""`nono trust`: sign, verify and approve the files that instruct an agent."""
