"""The `canary` command: it talks to a controller over its REST API; `serve`, `db` and `--local` work on this machine."""
