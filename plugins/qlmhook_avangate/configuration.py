"""What `qlmhook init` writes of 2Checkout's settings."""

TEMPLATE = """\
shared_keys = []                         # the Secret Key of 2Checkout's IPN settings, newest first
algorithms = ["sha3-256", "sha256"]      # add "md5" if your account still sends only HASH
timezone = "Europe/Bucharest"            # your 2Checkout account's, for dates without TIMEZONE_OFFSET

# One for each custom URL of 2Checkout, by its NOTIFICATION_URL value:
# [vendors.avangate.endpoints.MYTESTNOTIFICATIONS]
# ipn_keys = []
# lcn_keys = []

# How orders are confirmed whose mapping has is_sendresponse=true; what is empty comes from the order or from above:
# [vendors.avangate.idn]
# url = "https://secure.2checkout.com/order/idn.php"
# merchant = ""
# key = ""
# algorithm = "sha256"
# hash_field = "ORDER_HASH"
# timezone = ""
"""
