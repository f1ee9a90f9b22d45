"""What came in: the notifications, the facts that they told, and how many were refused."""
