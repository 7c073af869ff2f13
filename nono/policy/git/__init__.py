"""Find the git repository of a working directory, the settings by which git runs programs, and submodules."""
