"""Amazon Bedrock: Converse, and the binary stream that carries it."""
