"""Wire real agents to the gateway by editing their own settings, carefully."""
