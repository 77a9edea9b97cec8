"""Whose pages are: ids of VMs and inodes, for ASIDs and addresses that come again."""

from __future__ import annotations

from collections import Counter

__all__ = ["Inodes", "Vms"]


class Vms:
    """VM ids, each for one guest: a `struct kvm` and an ASID are given to another when it is gone."""

    def __init__(self) -> None:
        self._of_kvm: dict[int, int] = {}
        self._of_asid: dict[int, int] = {}
        self._held: Counter[int] = Counter()
        self._named: set[int] = set()
        self._unclaimed_at: dict[int, int] = {}
        self.n_unclaimed = 0
        self.n = 0

    def _new(self) -> int:
        self.n += 1
        return self.n - 1

    def of_assign(self, asid: int, kvm: int | None, n_pages: int) -> int:
        """
        Return the VM that pages are assigned to.

        Parameters
        ----------
        asid : int
            Not 0.
        kvm : int or None
            Its `struct kvm` if the file tells.
        n_pages : int
            How many it holds from now on.

        Returns
        -------
        int
            Its id. An ASID is another VM's once its VM was destroyed; where the file does not tell whose a destruction
            was, once its VM holds no page and some VM was destroyed since it took its last.
        """
        vm = self._of_asid.get(asid)
        if kvm is not None:
            known = self._of_kvm.get(kvm)
            if known is not None:
                vm = known
            elif vm is None or vm in self._named:
                vm = self._new()
            self._of_kvm[kvm] = vm
            self._named.add(vm)
        elif vm is None or (not self._held[vm] and self.n_unclaimed > self._unclaimed_at[vm]):
            vm = self._new()
        self._of_asid[asid] = vm
        self._held[vm] += n_pages
        self._unclaimed_at[vm] = self.n_unclaimed
        return vm

    def give_back(self, vm: int, n_pages: int) -> None:
        """
        Take pages from a VM.

        Parameters
        ----------
        vm : int
            Its id; -1 is none.
        n_pages : int
            How many it gives back.
        """
        self._held[vm] -= n_pages

    def destroy(self, kvm: int) -> tuple[int, bool]:
        """
        Return the VM that is destroyed, and forget it.

        Parameters
        ----------
        kvm : int
            Its `struct kvm`.

        Returns
        -------
        (int, bool)
            Its id, and whether the file told which pages are its.
        """
        vm = self._of_kvm.pop(kvm, None)
        if vm is None:
            self.n_unclaimed += 1
            return self._new(), False
        self._of_asid = {asid: other for asid, other in self._of_asid.items() if other != vm}
        return vm, True


class Inodes:
    """Inode ids, each for one guest_memfd: an address or number is another's once it was freed."""

    def __init__(self) -> None:
        self._of_key: dict[int, int] = {}
        self._ended: set[int] = set()
        self._of_vm: dict[int, int] = {}
        self.n = 0

    def _new(self) -> int:
        self.n += 1
        return self.n - 1

    def of_key(self, key: int) -> int:
        """
        Return the inode of an address.

        Parameters
        ----------
        key : int
            Address or number.

        Returns
        -------
        int
            Its id.
        """
        if key not in self._of_key:
            self._of_key[key] = self._new()
        return self._of_key[key]

    def begin(self, key: int) -> int:
        """
        Return the inode whose eviction begins.

        Parameters
        ----------
        key : int
            Address or number.

        Returns
        -------
        int
            Its id, new if the last one of that address has ended.
        """
        if key in self._ended:
            self.free(key)
        return self.of_key(key)

    def end(self, key: int) -> int:
        """
        Return the inode whose eviction ends.

        Parameters
        ----------
        key : int
            Address or number.

        Returns
        -------
        int
            Its id.
        """
        self._ended.add(key)
        return self.of_key(key)

    def free(self, key: int) -> int:
        """
        Return the inode that is freed, and forget it.

        Parameters
        ----------
        key : int
            Address or number.

        Returns
        -------
        int
            Its id.
        """
        found = self.of_key(key)
        del self._of_key[key]
        self._ended.discard(key)
        return found

    def of_vm(self, vm: int) -> int:
        """
        Return the one inode that stands for those of a VM that the file does not name.

        Parameters
        ----------
        vm : int
            Its id; -1 is a VM that the file does not tell.

        Returns
        -------
        int
            Its id.
        """
        if vm not in self._of_vm:
            self._of_vm[vm] = self._new()
        return self._of_vm[vm]

    @property
    def n_assumed(self) -> int:
        """How many stand for what the file does not name."""
        return len(self._of_vm)
