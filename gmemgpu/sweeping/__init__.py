"""Sweeps: a spec becomes tasks, tasks become parts of a store, with Dask in between."""
