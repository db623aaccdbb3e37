"""The stores without a disk, for tests of the floors above: same contracts, nothing survives."""
