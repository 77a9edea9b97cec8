"""What a region does whatever the policy: step functions of assigned and used pages, free episodes."""
