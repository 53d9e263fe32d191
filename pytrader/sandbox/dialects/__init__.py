"""The exchanges' protocols that the offline market speaks, all over the one book; `listing.every` has them all."""
