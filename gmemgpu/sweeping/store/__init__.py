"""A results directory: parts that are there by name, a manifest, failures, a lock, and the merged rows."""
