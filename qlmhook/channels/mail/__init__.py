"""Mail to customers: which ones are due, what stands in them, and their way to the mail server."""
