"""The command line: one file a sub-command, one table of them in main.py."""
