"""The device engine: whole batches of (trace, policy) pairs on a GPU, through CuPy."""
