"""Which policy is best, for every worth of a set bit: from a store's rows to a sentence."""
