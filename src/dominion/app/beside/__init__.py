"""What commands do beside a running gateway, or without one; starts nothing."""
