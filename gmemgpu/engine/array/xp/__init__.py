"""Array operations for NumPy and CuPy: what they spell alike, and the few primitives that each does its own way."""
