"""The judge: a pure function of stored numbers, so that every verdict replays bit for bit."""
