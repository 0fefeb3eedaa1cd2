"""Live figures: they compute and draw in the browser, with a kernel and without one.

Each is one Python class (data and starting values) and one JavaScript module (drawing). The same
object moves in JupyterLab, in Colab and in the built page. Importing this package loads anywidget;
matplotlib is loaded only when a figure is displayed.
"""

from __future__ import annotations

from sam_edu.widgets.base import Explorer, WidgetValueError
from sam_edu.widgets.batch import BatchExplorer
from sam_edu.widgets.bracket import BracketExplorer
from sam_edu.widgets.classwise import ClasswiseExplorer
from sam_edu.widgets.convention import ConventionExplorer
from sam_edu.widgets.digit_attack import DigitAttackExplorer
from sam_edu.widgets.family import FamilyExplorer
from sam_edu.widgets.flatness import FlatnessExplorer
from sam_edu.widgets.frontier import FrontierExplorer
from sam_edu.widgets.ladder import LadderExplorer
from sam_edu.widgets.nrf import NRFExplorer
from sam_edu.widgets.plane import RhoEpsPlane
from sam_edu.widgets.playground import Playground
from sam_edu.widgets.rho_eps_grid import RhoEpsGrid
from sam_edu.widgets.sam_step import SAMStepExplorer
from sam_edu.widgets.teaser import Teaser
from sam_edu.widgets.traps import TrapsExplorer
from sam_edu.widgets.units import UnitsExplorer

__all__ = [
    "BatchExplorer",
    "BracketExplorer",
    "ClasswiseExplorer",
    "ConventionExplorer",
    "DigitAttackExplorer",
    "Explorer",
    "FamilyExplorer",
    "FlatnessExplorer",
    "FrontierExplorer",
    "LadderExplorer",
    "NRFExplorer",
    "Playground",
    "RhoEpsGrid",
    "RhoEpsPlane",
    "SAMStepExplorer",
    "Teaser",
    "TrapsExplorer",
    "UnitsExplorer",
    "WidgetValueError",
]
