"""Where orders go once their intent is durable."""
