"""One function per command, one transaction each; they never call each other."""
