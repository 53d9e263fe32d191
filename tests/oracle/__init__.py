"""A dull, exact model of the desk in decimals, written from the rules alone, to hold against the real one."""
