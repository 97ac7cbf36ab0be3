"""The journal of sessions that must not outlive their process: who owns them, and the file that says so."""
