"""The bench: what the gateway costs beside `nginx proxy_pass`, measured in the same minutes on the same cores."""
