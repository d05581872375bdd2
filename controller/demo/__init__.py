"""The story of the main job, on real sockets: a canary that convicts itself, is rolled back, and verified."""
