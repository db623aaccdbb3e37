"""Who is asked first, who next, and who not for a while."""
