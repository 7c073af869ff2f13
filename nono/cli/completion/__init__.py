"""Write completion scripts for bash, fish and zsh from one tree. Pure."""
