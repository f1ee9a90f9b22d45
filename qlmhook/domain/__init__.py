"""What was bought and what that entitles to: pure, without a database, a clock or any I/O."""
