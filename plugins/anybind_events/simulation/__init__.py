"""Event streams from pictures and from film."""
