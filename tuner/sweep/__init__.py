"""`tuner measure`: load points on a server that already runs."""
