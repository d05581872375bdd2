"""The dashboard: pages drawn on the server, readable without a script, kept live by one."""
