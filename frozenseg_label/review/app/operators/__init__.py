"""What the App's operators and panel ask, do and tell; the plugin registers them."""
