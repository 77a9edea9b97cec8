#!/bin/sh
# Takes a trace of RMPUPDATEs and of what surrounds them, until Ctrl-C. As root, on an x86-64 host that runs SNP guests:
#     sh capture.sh | zstd > host.trace.zst      then: gmemgpu import ftrace host.trace.zst --host host.toml -o host.parquet
# Arguments are fetched by register, in the order of the kernel's C functions (%di %si %dx %cx %r8). A function that your
# kernel has inlined or does not have is named and left out; gmemgpu then says what it cannot tell.
set -u
cd /sys/kernel/tracing || exit 1
mkdir -p instances/gmem && cd instances/gmem || exit 1
root=/sys/kernel/tracing
stop() {
    echo 0 > tracing_on
    echo 0 > events/gmem/enable 2>/dev/null
    grep -h "^overrun\|^dropped" per_cpu/cpu*/stats | grep -v ": 0$" >&2
    cd $root && rmdir instances/gmem
    grep -o "^[pr][0-9]*:gmem/[a-z_]*" kprobe_events | sed "s/^[^:]*:/-:/" | while read -r probe; do
        echo "$probe" >> kprobe_events
    done
}
probe() {
    echo "$1" >> $root/kprobe_events || echo "no probe: $1" >&2
}
probe "p:gmem/rmp_make_private rmp_make_private pfn=%di:x64 gpa=%si:x64 level=%dx:u32 asid=%cx:u32 immutable=%r8:u8"
probe "r:gmem/rmp_make_private_ret rmp_make_private ret=\$retval:s32"
probe "p:gmem/rmp_make_shared rmp_make_shared pfn=%di:x64 level=%si:u32"
probe "r:gmem/rmp_make_shared_ret rmp_make_shared ret=\$retval:s32"
probe "p:gmem/psmash psmash pfn=%di:x64"
probe "p:gmem/sev_vm_destroy sev_vm_destroy kvm=%di:x64"
probe "p:gmem/sev_gmem_prepare sev_gmem_prepare kvm=%di:x64 pfn=%si:x64"
probe "p:gmem/sev_gmem_invalidate sev_gmem_invalidate start=%di:x64 end=%si:x64"
probe "r:gmem/sev_gmem_invalidate_ret sev_gmem_invalidate"
probe "p:gmem/kvm_gmem_free_folio kvm_gmem_free_folio"
probe "r:gmem/kvm_gmem_free_folio_ret kvm_gmem_free_folio"
probe "p:gmem/evict evict inode=%di:x64"
probe "p:gmem/kvm_gmem_destroy_inode kvm_gmem_destroy_inode inode=%di:x64"
probe "p:gmem/kvm_gmem_free_inode kvm_gmem_free_inode inode=%di:x64"
probe "p:gmem/snp_rmpopt_all_physmem snp_rmpopt_all_physmem"
probe "p:gmem/snp_enable_rmpopt snp_enable_rmpopt"
probe "p:gmem/rmpopt_work_handler rmpopt_work_handler"
probe "r:gmem/rmpopt_work_handler_ret rmpopt_work_handler"
# One clock for all CPUs, and room for 64 MiB of events on each.
echo mono > trace_clock
echo 65536 > buffer_size_kb
trap 'stop; exit 0' INT TERM
echo 1 > events/gmem/enable
# The log, too, by the same clock: when passes of RMPOPT begin.
echo 1 > events/printk/console/enable
echo 1 > tracing_on
cat trace_pipe &
wait $!
