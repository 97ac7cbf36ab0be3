"""What runs inside a session's own processes: standard library only, never imported by the cluster itself."""
