"""Queries for listings and figures."""
