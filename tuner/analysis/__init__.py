"""What recorded trials say; all of it is pure."""
