"""The host's own state: is SNP on, is it being shut down, is KVM there."""

from __future__ import annotations

from typing import NamedTuple

from gmemgpu.engine.reference.event import Event
from gmemgpu.engine.reference.steps import Steps
from gmemgpu.model.event import Kind

__all__ = ["SnpHistory", "SnpState"]

_HOST_KINDS = (Kind.SNP_SHUTDOWN_BEGIN, Kind.SNP_SHUTDOWN_END, Kind.SNP_INIT, Kind.KVM_UNLOAD)


class SnpState(NamedTuple):
    """
    The host's state after some of its life-cycle events.

    Parameters
    ----------
    on : bool
        Whether RMP checks are made (MODEL.md section 3): only ``snp_shutdown_end`` ends that, ``snp_init`` begins it.
    shutting_down : bool
        Inside [``snp_shutdown_begin``, ``snp_shutdown_end``); nothing but the end closes that window.
    kvm_unloaded : bool
        After ``kvm_unload``, until a ``snp_init``.
    """

    on: bool = True
    shutting_down: bool = False
    kvm_unloaded: bool = False

    def after(self, kind: Kind) -> SnpState:
        """
        Return the state after one more event.

        Parameters
        ----------
        kind : Kind
            What happens; most kinds do not concern the host.

        Returns
        -------
        SnpState
            The same state if nothing changes.
        """
        if kind is Kind.SNP_SHUTDOWN_BEGIN:
            return self._replace(shutting_down=True)
        if kind is Kind.SNP_SHUTDOWN_END:
            return self._replace(on=False, shutting_down=False)
        if kind is Kind.SNP_INIT:
            return self._replace(on=True, kvm_unloaded=False)
        if kind is Kind.KVM_UNLOAD:
            return self._replace(kvm_unloaded=True)
        return self


class SnpHistory:
    """
    The host's state over time.

    Attributes
    ----------
    steps : Steps of SnpState
    init_times_ns : list of int
        One for each ``snp_init``, in order, equal times included.
    """

    def __init__(self) -> None:
        self.steps = Steps(SnpState())
        self.init_times_ns: list[int] = []

    def apply(self, event: Event) -> None:
        """
        Record one event; most do not concern the host.

        Parameters
        ----------
        event : Event
            Not earlier than the last one.
        """
        if event.kind not in _HOST_KINDS:
            return
        self.steps.record(event.t_ns, self.steps.states[-1].after(event.kind))
        if event.kind is Kind.SNP_INIT:
            self.init_times_ns.append(event.t_ns)

    def request_is_hazardous(self, t_ns: int) -> bool:
        """
        Check whether a hook that fires finds SNP shutting down or KVM unloaded (section 7, requests_hazard).

        Parameters
        ----------
        t_ns : int
            When it fires.

        Returns
        -------
        bool
            True if the request is a hazard.
        """
        # Events at t_ns itself count, before or after the request in file order.
        state = self.steps.at(t_ns)
        return state.shutting_down or state.kvm_unloaded

    def pass_is_hazardous(self, start_ns: int, end_ns: int) -> bool:
        """
        Check whether some instant of a pass lies inside a shutdown (section 7, passes_hazard).

        Parameters
        ----------
        start_ns, end_ns : int
            Half open; a pass of no length still has its start.

        Returns
        -------
        bool
            True if the pass is a hazard.
        """
        # A pass of no length still has its start.
        return any(state.shutting_down for _, _, state in self.steps.within(start_ns, max(end_ns, start_ns + 1)))
