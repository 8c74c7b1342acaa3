"""CPU time of processes."""

import resource

import psutil


def own_cpu_s() -> float:
    """CPU seconds of this process and of those of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and of all that it has started."""
    process = psutil.Process(pid)
    used = process.cpu_times()
    ended_s = used.children_user + used.children_system
    living = [process, *process.children(recursive=True)]
    times = [each.cpu_times() for each in living]
    return ended_s + sum(each.user + each.system for each in times)
