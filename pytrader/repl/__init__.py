"""The terminal: a prompt with completion, a toolbar, and lines printed above both."""
