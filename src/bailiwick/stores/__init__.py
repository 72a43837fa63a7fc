"""Durable state: implementations of the ports."""
