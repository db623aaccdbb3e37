"""How many tokens a request can hold at most, and how many it likely holds, before any tokenizer has seen it.

A token is at least one byte long in every tokenizer in use, so the bytes of the body bound the tokens of its text.
"""

BYTES_PER_TOKEN = 4
"""Typical for English text; used for estimates only, never for bounds."""
TOKENS_PER_IMAGE = 5_000
"""What one image can cost at most at the large providers' usual settings."""
LIKELY_TOKENS_PER_IMAGE = 1_000
LARGEST_WINDOW = 2_000_000
"""Tokens that the longest prompts of any model in use can have."""
TOOLS_OVERHEAD = 600
"""Providers put a preamble of their own before tool definitions (Anthropic: 346 to 530 tokens)."""


def input_bound(size: int, bytes_per_token: int, *, tools: bool, images: tuple[int, int] = (0, 0)) -> int:
    """The most tokens a body of `size` bytes can hold. `images` are their number and their bytes inside the body."""
    count, image_bytes = images
    bound = -(-(size - image_bytes) // bytes_per_token) + count * TOKENS_PER_IMAGE
    return bound + TOOLS_OVERHEAD if tools else bound


def likely_input(size: int, images: tuple[int, int] = (0, 0)) -> int:
    """The likely number of tokens of a body of `size` bytes."""
    count, image_bytes = images
    return (size - image_bytes) // BYTES_PER_TOKEN + count * LIKELY_TOKENS_PER_IMAGE


def likely_output(frames: int, content_bytes: int) -> int:
    """Tokens in a stream that broke off: providers send at least one token a frame."""
    return max(frames, -(-content_bytes // BYTES_PER_TOKEN))
