"""The trace file format: read, write, check, tell what is in it."""
