"""The license models, and the letter that a key of each begins with."""

# Source: QLM, "QLM License Models": the first letter of an activation key of engine version 6.
LICENSE_MODELS = {
    "permanent": "A",
    "permanent_floating": "K",
    "permanent_cloud": "R",
    "trial": "B",
    "trial_floating": "L",
    "trial_cloud": "S",
    "subscription": "F",
    "subscription_floating": "M",
    "subscription_cloud": "T",
}
