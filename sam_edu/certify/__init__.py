"""Certificates: robust accuracy from below. An attack shows "not robust", a proof shows "robust".

``certify`` gives a verdict for each image; the parts are ``interval`` and ``crown`` bounds, slopes
that are optimised, and a complete search by cases. Nothing here trusts a solver: every bound is one for
whatever lines and multipliers are put into it.
"""

from sam_edu.certify.network import Network
from sam_edu.certify.reading import from_model
from sam_edu.certify.region import Region
from sam_edu.certify.relaxation import crown, interval, lines
from sam_edu.certify.verdicts import Certificate, certify

__all__ = ["Certificate", "Network", "Region", "certify", "crown", "from_model", "interval", "lines"]
