"""What runs in processes of its own during a measurement, some of it inside the sandbox."""
