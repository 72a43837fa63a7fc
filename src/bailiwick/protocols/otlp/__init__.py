"""OTLP, OpenTelemetry's wire format, both ways: our spans going out, an agent's coming in."""
