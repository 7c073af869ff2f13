"""Git repositories: which one a working directory is part of, and which settings make git run programs."""
