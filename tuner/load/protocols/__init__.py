"""Wire protocols: each module makes prepared request bytes and finds the end of a response."""
