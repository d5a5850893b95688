"""Graphs as pictures: `graph` says what is drawn, `edges` and `style` how it looks, `engine` has Graphviz draw it."""
