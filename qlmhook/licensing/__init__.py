"""Licenses in the database: made what the facts and the operator say, each change audited."""
