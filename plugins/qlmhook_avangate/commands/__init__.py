"""The commands that play 2Checkout, on the command line and in the demonstration."""
