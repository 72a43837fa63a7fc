"""The dialects in which agents talk to models: sans-I/O, one module a dialect."""
