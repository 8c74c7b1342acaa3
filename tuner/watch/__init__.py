"""What the machine and the server do under load."""
