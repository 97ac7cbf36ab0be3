"""The values that the SDK hands out: frozen attrs classes whose annotations are the wire's schema."""
