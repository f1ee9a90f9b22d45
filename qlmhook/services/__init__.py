"""The stories, one a module, above the rooms that they pass through, and the parts wired together."""
