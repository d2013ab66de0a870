"""Static pages of pictures with their labels."""
