"""Replays AgentDojo's tasks and injections through Bailiwick's gate. See docs/agentdojo.md."""
