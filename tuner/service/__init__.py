"""The service: jobs of a team on this machine, over HTTP and in a browser."""
