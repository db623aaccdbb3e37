"""All that can be asked of the gateway besides completions: tables that doors loop over."""
