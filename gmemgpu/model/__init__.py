"""Hosts, traces, policies, costs and metrics as frozen data: no I/O, no engine, no device."""
