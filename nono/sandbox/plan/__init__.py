"""Decides the kernel state of a run. Pure: kernel `facts` and capabilities in, a plan or a refusal out."""
