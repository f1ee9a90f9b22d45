"""What keeps something that was told from taking effect, until a person mends the cause or another message comes."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why something is held: a sentence, and the name of its cause, such as a product.

    The operator is alerted once for each cause. Without `alert` nobody has to do anything: what is waited for comes by
    itself. `order_ref` and `subscription_ref` are set where it is known what is held.
    """

    reason: str
    cause: str
    order_ref: str = ""
    subscription_ref: str = ""
    alert: bool = True
