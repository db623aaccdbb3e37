"""What operators are told without having asked, and how it comes to them."""
