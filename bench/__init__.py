"""The benchmark: what a governed call costs beside the same call made otherwise, in one run."""
