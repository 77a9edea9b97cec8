"""Metric rows as a columnar result, and the ratios that reports derive from them."""
