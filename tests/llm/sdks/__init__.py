"""The official SDKs in Python and in Node.js, called by tests in one way."""
