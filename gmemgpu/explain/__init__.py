"""What a policy did on a trace, request by request, pass by pass and visit by visit, and why."""
