"""What any connection needs: a list it is on, a time limit, a way to change its owner, and bytes both
ways."""
