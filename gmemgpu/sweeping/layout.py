"""What lies where in a results directory."""

from __future__ import annotations

__all__ = ["PARTS", "RESULTS", "CLAIMS", "FAILURES", "LOGS", "VERIFIED"]

PARTS = "parts"
RESULTS = "results.parquet"
CLAIMS = "claims"
FAILURES = "failures"
LOGS = "logs"
"""Of a cluster's jobs."""
VERIFIED = "verified.txt"
"""Which parts were once found whole."""
