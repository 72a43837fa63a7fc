"""Limits: what they allow, what a call takes of them, and the books it is entered in."""
