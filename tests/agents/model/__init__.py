"""A model endpoint that follows a script: chat completions, responses and messages, streamed."""
