"""Jobs that wait for their turn, and the processes that run them."""
