"""Figures of results, declared in Vega-Lite: the same text becomes SVG, PNG, PDF, or a page on which one can hover."""
