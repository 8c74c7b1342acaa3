"""The load engine: sends prepared requests to one endpoint and says what came back, and when."""
