"""Hosts, traces, policies, costs and metrics as frozen data: no I/O, no engine, no device."""

ORACLE_NAME = "oracle"
"""Of the policy that bounds all others, for whoever reads rows and needs no policies."""

MODEL_VERSION = 2
"""Raised whenever any integer of any row changes: results of another version are another sweep's.
`tests/test_model_version.py` holds it against fingerprints of rows, so that it cannot be forgotten."""
