"""The servers that can be tuned, one module each: what to start, and what it must then prove."""
