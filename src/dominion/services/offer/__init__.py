"""Who can be asked for what: the line-up of providers, the models they offer, and the way to them."""
