"""Tables of VMs, read from files or drawn at random: who arrives when, how large, for how long."""
