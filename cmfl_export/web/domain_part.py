"""What the page needs of a model's domain: numbers for its settings, and arrays for a part of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..runtime import EMBEDDING, Domain, Session


def domain_part(session: Session) -> tuple[dict[str, Any] | None, dict[str, bytes]]:
    """The settings of page/domain.js, and the part that it reads, by name.

    The part has float64 values, little-endian, one array after the other: mean, spread, variances, quantiles
    and the orthonormal components. A model without a domain, or without the output that it is about, has
    neither.
    """
    stored = session.card.domain
    if not stored or EMBEDDING not in session.outputs:
        return None, {}
    domain = Domain.from_card(stored)
    settings = {
        "dimensions": domain.dimensions,
        "used": domain.mean.size,
        "components": domain.variances.size,
        "noise": domain.noise,
        "limit": domain.limit,
    }
    arrays = (domain.mean, domain.spread, domain.variances, domain.quantiles, domain.basis.T.ravel())
    return settings, {"domain": np.concatenate(arrays).astype("<f8").tobytes()}
