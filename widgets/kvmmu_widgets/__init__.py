"""Pictures, steppers and lesson parts for notebooks, painted from recorded events."""
