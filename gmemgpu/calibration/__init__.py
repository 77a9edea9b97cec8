"""Costs of RMPOPT from measured passes: what is measured, and the costs that fit it."""
