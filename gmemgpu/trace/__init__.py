"""Traces: from a VM table, from a file, to a file, and whether they make sense."""
