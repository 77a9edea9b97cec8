"""Where tasks run: worker processes on this machine, jobs of a queue, or a scheduler that is there already."""
