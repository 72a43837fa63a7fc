"""Bailiwick: the open control plane for AI agents."""
