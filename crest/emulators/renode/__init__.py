"""The second engine: Renode, an external program that is driven over its monitor."""
