"""Engines: each turns (trace, policy) pairs into the same integers."""
