#!/bin/sh
# Describes the host for `gmemgpu import ftrace --host`, as root:
#     sh capture_host.sh > host.toml
# memory_bytes is where System RAM ends, up to the next GiB of every node. Add holes = [[pfn, npages]] for an MMIO hole.
set -eu
nodes=$(ls -d /sys/devices/system/node/node[0-9]* | wc -l)
cores=$(lscpu -p=SOCKET,CORE | grep -v "^#" | sort -u | wc -l)
threads=$(lscpu -p=CPU | grep -vc "^#")
last=$(grep "System RAM" /proc/iomem | tail -n 1 | sed "s/^[^-]*-\([0-9a-f]*\) .*/\1/")
each=$((nodes << 30))
echo "[host]"
echo "memory_bytes = $((((0x$last + each) / each) * each))"
echo "nodes = $nodes"
echo "cores = $cores"
echo "threads_per_core = $((threads / cores))"
