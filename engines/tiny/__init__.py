"""A tiny model whose answers are known beforehand, in the forms that engines load."""
