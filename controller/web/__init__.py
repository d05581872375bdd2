"""The web room: Flask for the API and the dashboard, and the shell that carries it and the streams on one port."""
