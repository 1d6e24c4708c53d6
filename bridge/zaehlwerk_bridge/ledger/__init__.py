"""The ledger: the set of frames known of a node, folded into interval records, in whatever order they came."""
