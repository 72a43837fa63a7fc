"""What a text means, by itself alone: paths, URLs, addresses, numbers, times, commands, SQL."""
