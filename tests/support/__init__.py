"""What the tests share: simulated kernels, ordinary users, and the like."""
