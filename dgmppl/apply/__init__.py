"""What a fitted run says of rows: each command a module, over rows that are given (`given`), to answers (`answers`)."""
