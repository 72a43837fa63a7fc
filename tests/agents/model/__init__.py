"""A model endpoint that follows a script: chat completions and responses, streamed."""
