"""What models are asked and say, as mandates see it, and how deeds stand to it."""
