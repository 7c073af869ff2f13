"""The parent of a supervised run: the child, its system calls and its signals on one event loop."""
