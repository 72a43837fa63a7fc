"""`run export`: the record of a run, in forms that other tools read."""
