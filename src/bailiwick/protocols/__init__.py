"""Sans-I/O: wire formats to and from core values."""
