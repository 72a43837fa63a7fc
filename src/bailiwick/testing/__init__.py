"""Fakes and transcripts for users' own tests."""
