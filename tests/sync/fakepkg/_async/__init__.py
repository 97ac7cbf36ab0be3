"""The cores of the fake package."""
