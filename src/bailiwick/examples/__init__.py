"""Servers and agents that ship as examples."""
