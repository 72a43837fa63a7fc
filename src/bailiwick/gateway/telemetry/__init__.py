"""Telemetry of governed calls. It is not the record: what cannot be sent is dropped and counted."""
