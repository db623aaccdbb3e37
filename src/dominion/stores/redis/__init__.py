"""What processes share in Redis or Valkey: rates, never money."""
