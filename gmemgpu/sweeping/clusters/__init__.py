"""Dask clusters for a sweep: processes of this machine, jobs of a batch system, or a scheduler that is there."""
