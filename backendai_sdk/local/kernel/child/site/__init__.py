"""The folder that shell commands of a session find first on their PYTHONPATH."""
