"""Arrival processes, one file each; a workload names one in ``arrivals.process``."""
