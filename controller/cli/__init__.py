"""The `canary` command: it talks to a controller over REST; `serve`, `db` and `--local` work on this machine."""
