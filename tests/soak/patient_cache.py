"""The gateway as it must not be: it waits for its cache server. The control of the experiment with that server."""

from dominion.cli.main import main
from dominion.stores.redis import link as redis_link

if __name__ == "__main__":
    redis_link.SECONDS = 5.0
    main()
