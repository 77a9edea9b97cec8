"""The RMP as memory: one bit a page, and the scan that finds what RMPOPT looks for."""
