"""Find the git repository of a working directory, and the settings by which git runs programs."""
