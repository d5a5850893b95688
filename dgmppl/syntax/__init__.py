"""Text to syntax tree and back: `parse`, `tree`, `format`, and messages for what cannot be parsed."""
