"""Telling the operator what a person should look at."""
