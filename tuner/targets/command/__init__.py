"""Any server that a file describes."""
