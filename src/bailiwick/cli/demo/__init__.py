"""The demo: the main job, on embedded storage, before your eyes."""
