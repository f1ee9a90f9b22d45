"""Products: QLM's server properties, what they mean, and which one counts for what a shop sells."""
