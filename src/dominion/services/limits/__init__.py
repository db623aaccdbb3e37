"""What is left of every limit, what is set aside, and how rows reach the database."""
