"""One study over many machines: hosts that measure, and a driver that owns the study."""
