"""Mirror constants and struct layouts of the kernel's headers, one module for each header. Pure."""
