"""What keeps something that was told from taking effect, until a person mends the cause or another message comes."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Hold:
    """One cause, as a sentence.

    `subject` names the cause, so that the operator is alerted once per cause, such as a product. Without `alert`
    nobody has to do anything: what is waited for comes by itself. `order_ref` and `subscription_ref` are set where it
    is known what is held.
    """

    reason: str
    subject: str
    order_ref: str = ""
    subscription_ref: str = ""
    alert: bool = True
