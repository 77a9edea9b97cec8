"""What a guest does to its pages: launch, run-time conversions, teardown. VMs in, events out."""
