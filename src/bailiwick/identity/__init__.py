"""Who is calling: tokens, people, sessions."""
