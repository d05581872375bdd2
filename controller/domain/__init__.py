"""Pure rules: no clock, no I/O, no chance, no logging. `now` is always an argument, in milliseconds since the epoch."""
