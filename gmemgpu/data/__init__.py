"""Policies, costs, hosts and workload parameters that ship with the package, a source beside every figure."""
