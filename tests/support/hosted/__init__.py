"""Where somebody else starts nono: an engine of containers, a workflow of GitHub, an installed copy."""
