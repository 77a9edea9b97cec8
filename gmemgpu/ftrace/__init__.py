"""Traces of real hosts: from what ftrace, perf or bpftrace wrote of the kernel's own functions."""
