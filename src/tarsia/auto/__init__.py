"""A recipe from what is counted in a data set and measured on the machine: facts, and the rules that follow them."""
