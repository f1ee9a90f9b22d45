"""What every channel is told, in the transaction in which it happens: it writes into the outbox what that calls for."""

from qlmhook.licensing.results import Applied, Concluded, Settled


class Channel:
    """One way in which something goes out; what it overrides is what it listens to."""

    def settled(self, settled: Settled) -> None:
        """One subject's licenses are what all facts and decisions say."""

    def applied(self, applied: Applied) -> None:
        """A notification has taken effect."""

    def concluded(self, concluded: Concluded) -> None:
        """A notification is done, ignored or held."""
