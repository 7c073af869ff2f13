"""What `nono learn` watches a command with, and the profile made of what was seen. Pure."""
