"""Embeddings, in OpenAI's shape and translated."""
