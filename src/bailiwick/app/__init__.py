"""The composition root: settings in, a running gateway out. The only reader of the environment."""
