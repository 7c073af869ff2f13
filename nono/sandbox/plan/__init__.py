"""The kernel state of a run, decided. Pure: kernel `facts` and capabilities in, a plan or a refusal out."""
