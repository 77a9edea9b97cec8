"""Lines of every tool are read, wherever COMM and flags shift their columns."""

from __future__ import annotations

import pytest

from gmemgpu.ftrace.event_line import Call, Damaged, lost_events, parse_call

PRIVATE = (0x56600, 1, 3)
ARGUMENTS = "pfn=0x56600 gpa=0x1000 level=1 asid=3"


SHORT = "(rmp_make_private+0x4/0x120)"
MS = 123_456_789_000


@pytest.mark.parametrize(
    ("columns", "event", "t_ns"),
    [
        # tracefs, as Documentation/trace/ftrace.rst and kprobetrace.rst show it
        ("  qemu-kvm-4242    [003] .....   123.456789: ", f"rmp_make_private: {SHORT} ", MS),
        (" CPU 0/KVM-4242    [003] d..1.   123.456789: ", f"rmp_make_private: {SHORT} ", MS),
        (" my-vm 12-x-4242 (  4200) [103] d..1.   123.456789: ", f"p_rmp_make_private_0: {SHORT} ", MS),
        ("    <...>-4242    3d..1    57us+: ", f"rmp_make_private: {SHORT} ", 57_000),
        ("    <...>-4242    3d..1    57us : ", f"rmp_make_private: {SHORT} ", 57_000),
        # trace-cmd report, also -l and -t
        ("        qemu-kvm-4242  [003]   123.456789: ", "rmp_make_private:     (ffffffff81012340) ", MS),
        ("        qemu-kvm-4242    3d..2 123.456789123: ", "rmp_make_private:     (ffffffff81012340) ", MS + 123),
        # perf script, also --ns and -F with pid and tid, and without a CPU
        ("qemu-kvm  4242 [003]   123.456789: ", "probe:rmp_make_private: (ffffffff81012340) ", MS),
        ("CPU 0/KVM  4200/4242  [003]   123.456789012: ", "    probe:rmp_make_private: (ffff81) ", MS + 12),
        ("a-1 b 4242 123.456789:          1 ", "gmem:rmp_make_private: (ffffffff81012340) ", MS),
        # bpftrace
        ("CPU 0/KVM-4242 [003] 123.456789012: ", "rmp_make_private: ", MS + 12),
    ],
)
def test_calls(columns: str, event: str, t_ns: int) -> None:
    expected = Call(t_ns, 7, 4242, "rmp_make_private", False, PRIVATE)
    assert parse_call(f"{columns}{event}{ARGUMENTS}", 7) == expected


@pytest.mark.parametrize(
    "event",
    [
        "rmp_make_private(pfn=0x56600, gpa=0x1000, level=1, asid=3) <-x",  # the function tracer with func-args
        "kprobe_rmp_make_private: arg1=353792 arg2=0x1000 arg3=1 arg4=3",
    ],
)
def test_arguments_by_position_and_in_brackets(event: str) -> None:
    found = parse_call(f" qemu-kvm-4242 [003] ..... 123.456789: {event}", 7)
    assert found == Call(MS, 7, 4242, "rmp_make_private", False, PRIVATE)


@pytest.mark.parametrize(
    ("event", "ret"),
    [
        ("rmp_make_shared_ret: (snp_x+0x1/0x2 <- rmp_make_shared) ret=0x0", 0),
        ("probe:rmp_make_shared__return: (ffffffff81 <- ffffffff82) arg1=0xfffffff2", 0xFFFFFFF2),
        ("r_rmp_make_shared_0: (a+0x1/0x2 <- rmp_make_shared) $retval=-14", -14),
        ("rmp_make_shared: (a+0x1/0x2 <- rmp_make_shared) ret=-14", -14),
    ],
)
def test_returns(event: str, ret: int) -> None:
    found = parse_call(f"  qemu-kvm-4242    [003] .....   1.000001: {event}", 1)
    assert found == Call(1_000_001_000, 1, 4242, "rmp_make_shared", True, (ret,))


@pytest.mark.parametrize(
    "line",
    [
        "# tracer: nop",
        "cpus=8",
        " => rmp_make_private+0x448/0x7b0",
        " ffffffff81012340 rmp_make_private+0x0 ([kernel.kallsyms])",
        "  qemu-kvm-4242    [003] .....   1.000001: kvm_exit: reason=rmp_make_private",
        "  bash-1    [003] .....   1.000001: sched_switch: prev_comm=evict",
    ],
)
def test_other_lines_are_none_of_it(line: str) -> None:
    assert parse_call(line, 1) is None


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ("rmp_make_private: (x) pfn=0x1 level=1", "rmp_make_private without asid"),
        ("rmp_make_private <-snp_launch", "rmp_make_private without pfn"),
        ("rmp_make_private: (x) pfn=0x10000000000 level=1 asid=3", "is past all memory"),
        ("rmp_make_private: (x) pfn=0x1 level=3 asid=3", "level 3: the RMP has entries of 4 KiB"),
        ("rmp_make_private: (x) pfn=0x1 level=2 asid=3", "pfn 0x1 is no 2 MiB page"),
        ("rmp_make_private: (x) pfn=0x1 level=1 asid=-3", "asid -3 is none of a processor"),
        ("evict: (x) inode=0x123456789abcdef01", "evict without inode"),
    ],
)
def test_damaged_calls(event: str, why: str) -> None:
    found = parse_call(f"  qemu-kvm-4242    [003] .....   1.000001: {event}", 1)
    assert isinstance(found, Damaged)
    assert why in found.why


def test_times_that_are_counts_and_lines_that_were_cut() -> None:
    found = parse_call("  qemu-kvm-4242    [003] .....   812345678901: psmash: (psmash+0x0/0x1) pfn=0x1", 1)
    assert isinstance(found, Damaged)
    assert 'clock "mono"' in found.why
    assert isinstance(parse_call("789: rmp_make_private: (x) pfn=0x1 level=1", 1), Damaged)


@pytest.mark.parametrize(
    ("line", "lost"),
    [
        ("CPU:3 [LOST 123 EVENTS]", 123),
        ("CPU:7 [204600 EVENTS DROPPED]", 204600),
        ("CPU:7 [EVENTS DROPPED]", -1),
        ("mplayer 13810 [002] 468011.402396: PERF_RECORD_LOST lost 3880", 3880),
        ("# entries-in-buffer/entries-written: 140080/250280   #P:4", 110200),
        ("# entries-in-buffer/entries-written: 4/4   #P:4", 0),
        ("Lost 7 events", 7),
        ("  qemu-kvm-4242    [003] .....   1.000001: psmash: (x) pfn=0x1", 0),
    ],
)
def test_lost_events(line: str, lost: int) -> None:
    assert lost_events(line) == lost
