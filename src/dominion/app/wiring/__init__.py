"""Builds the services and doors of a running gateway over the opened world, a file for each part."""
