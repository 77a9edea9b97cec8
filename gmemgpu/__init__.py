"""
When should the kernel run RMPOPT after a confidential guest is torn down?

gmemgpu replays guest_memfd life cycles on a model of an AMD SEV-SNP host and says, for every policy of the
mailing-list debate, what it costs and what it recovers.
"""

from __future__ import annotations

__version__ = "0.1.0"
