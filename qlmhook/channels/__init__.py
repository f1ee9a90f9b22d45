"""How something goes out, and when it is called for: a folder for each channel."""
