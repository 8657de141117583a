"""What the zoo can write."""
