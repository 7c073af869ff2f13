"""Constants and struct layouts of the kernel's headers, one module per header. Pure."""
