"""What is said of runs once they are there: the page of one, figures of held-out rows, several side by side."""
