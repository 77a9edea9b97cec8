"""Run a sweep: a plan of shards, what a worker does with one, the client that hands them out, job arrays."""
