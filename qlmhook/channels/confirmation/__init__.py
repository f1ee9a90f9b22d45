"""Telling a shop that its order is fulfilled."""
