"""A workload: host, arrivals, lifetimes, sizes and memory behaviour; named presets of them."""
