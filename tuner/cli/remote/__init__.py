"""Commands that ask a service: what they say of it is what they say of a database."""
