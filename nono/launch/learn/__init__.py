"""`nono learn`: what a run is watched with, and the profile that comes of it."""
