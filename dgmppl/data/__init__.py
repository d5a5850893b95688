"""Where `from digits.image` leads: data sets by name and `.npz` files, transforms, splits and checks."""
