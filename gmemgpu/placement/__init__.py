"""Where in host memory a VM gets its blocks: one allocator a file."""
