"""Code that several tests share: simulated kernels, ordinary users, servers and the like."""
