"""The credential proxy: who may be reached, and with which credential."""
