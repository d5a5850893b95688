"""Plan to Python source: what `dgmppl compile` prints, and what training runs."""
