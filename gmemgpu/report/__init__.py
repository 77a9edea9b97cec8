"""Decision tables with their uncertainty, from what a store holds."""
