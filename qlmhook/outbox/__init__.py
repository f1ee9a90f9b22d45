"""What goes out, surely: the queue from which a worker leases rows."""
