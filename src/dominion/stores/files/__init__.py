"""What is kept in files beside the database: the journal first of all."""
