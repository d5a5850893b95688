"""Where `from digits.image` leads: data sets by name, files and libraries; transforms, splits and checks."""
