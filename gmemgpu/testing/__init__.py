"""For tests of engines, ours and yours: random hosts, traces, policies and costs (needs Hypothesis)."""
