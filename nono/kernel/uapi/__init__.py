"""Constants and layouts of the kernel's headers, one module a header. Pure."""
