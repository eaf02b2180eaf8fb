"""Evidence: executing a fix before it is delivered."""
