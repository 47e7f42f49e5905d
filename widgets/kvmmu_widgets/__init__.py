"""Pictures, steppers and lesson parts for notebooks, painted from recorded events."""

from kvmmu_widgets.controls import explore
from kvmmu_widgets.lesson import check, hint, predict
from kvmmu_widgets.message import build_message
from kvmmu_widgets.stepper import Stepper, picture

__all__ = ["Stepper", "build_message", "check", "explore", "hint", "picture", "predict"]
